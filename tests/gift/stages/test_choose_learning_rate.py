"""The chosen learning rate is the best by the named benchmark, and it reaches the configuration unchanged."""

import uuid
from pathlib import Path

import pytest
from mlflow import MlflowClient

from gift.config import RunConfig, load_profile, parse_config
from gift.errors import GiftError
from gift.evaluation.results import BenchmarkResult, EvaluationSettings, save_results
from gift.execution.stage import run_stage
from gift.stages.choose_learning_rate import choose_learning_rate
from gift.stages.configure import configure
from gift.storage import upload_directory
from gift.tracking import start_parent_run

SETTINGS = EvaluationSettings(
    **{"lm_eval_version": "0", "task_version": "0", "fewshot_count": 0, "samples": 1, "decoding": {}},
    **{"precision": "fp32", "batch_size": 1, "limit": None, "seed": 0},
)


@pytest.fixture
def config(bucket_prefix: str) -> RunConfig:
    return load_profile("local", (f"storage.uri={bucket_prefix}",))


def _choose(config: RunConfig, tmp_path: Path, accuracies: dict[str, dict[str, float]]) -> tuple[str, str]:
    """(chosen rate, parent run) where `accuracies` holds benchmark → accuracy for every rate."""
    candidates = {}
    for rate, by_task in accuracies.items():
        folder = tmp_path / rate
        results = {
            task: BenchmarkResult(
                task=task, accuracy=value, stderr=0, n=1, ids=("a",), correct=(value,), secondary={}, settings=SETTINGS
            )
            for task, value in by_task.items()
        }
        save_results(folder / "results.json", results)
        candidates[rate] = f"{config.storage.uri}/evaluations/{rate}"
        upload_directory(folder, candidates[rate])
    parent = start_parent_run(config, f"test-{uuid.uuid4().hex}")
    chosen = run_stage(
        choose_learning_rate,
        config=config.model_dump_json(),
        run_id="r",
        parent_run_id=parent,
        label="gift",
        candidates=candidates,
        benchmark="heldout_sampled",
    )
    return chosen, parent


def test_the_best_by_the_named_benchmark_is_chosen_and_logged(config: RunConfig, tmp_path: Path, capsys) -> None:
    accuracies = {
        "0.0018": {"heldout_sampled": 0.3, "heldout": 0.9},
        "0.0002": {"heldout_sampled": 0.5, "heldout": 0.5},
        "0.0006": {"heldout_sampled": 0.6, "heldout": 0.7},
    }
    chosen, parent = _choose(config, tmp_path, accuracies)
    assert chosen == "0.0006"
    assert "0.0006: heldout_sampled 60.0%  ← chosen" in capsys.readouterr().out
    client = MlflowClient()
    (run,) = client.search_runs([client.get_run(parent).info.experiment_id], f"tags.mlflow.parentRunId = '{parent}'")
    assert run.info.run_name == "choose-learning-rate-gift"
    assert run.data.tags["gift.learning_rate"] == "0.0006"


def test_of_equally_good_rates_the_smallest_is_chosen(config: RunConfig, tmp_path: Path) -> None:
    same = {"heldout_sampled": 0.5}
    assert _choose(config, tmp_path, {"0.001": same, "9e-05": same, "0.0005": same})[0] == "9e-05"


def test_an_evaluation_without_the_benchmark_is_named(config: RunConfig, tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        _choose(config, tmp_path, {"0.001": {"gsm8k": 0.5}})
    assert "evaluations/0.001 has no result of heldout_sampled" in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["0.0006", "6e-05", "6.67e-05"])
def test_a_configuration_with_the_chosen_rate_is_the_one_that_was_tried(config: RunConfig, rate: str) -> None:
    """Otherwise the training of the tuning seed would be done twice."""
    tried = load_profile("local", (f"storage.uri={config.storage.uri}", f"rl.optimizer.learning_rate={float(rate)!r}"))
    assert parse_config(configure(config.model_dump_json(), rate)) == tried
    assert parse_config(configure(config.model_dump_json(), rate)).digest() == tried.digest()


def test_a_rate_that_cannot_be_is_refused(config: RunConfig) -> None:
    with pytest.raises(GiftError, match="learning_rate"):
        configure(config.model_dump_json(), "-1")


def test_results_that_are_none_are_named_by_their_address(config: RunConfig, tmp_path: Path, capsys) -> None:
    (tmp_path / "results.json").write_text("{}]")
    uri = f"{config.storage.uri}/evaluations/spoiled"
    upload_directory(tmp_path, uri)
    with pytest.raises(SystemExit):
        run_stage(
            choose_learning_rate,
            config=config.model_dump_json(),
            run_id="r",
            parent_run_id=start_parent_run(config, f"test-{uuid.uuid4().hex}"),
            label="gift",
            candidates={"0.1": uri},
            benchmark="heldout_sampled",
        )
    assert f"error: {uri}/results.json does not hold evaluation results" in capsys.readouterr().err

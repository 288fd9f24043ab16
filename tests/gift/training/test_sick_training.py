"""A training that went wrong ends with one line that says how, and leaves no weights that anybody could promote."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_jobs import RANKS, Job, own_reward, write_inputs

from gift.errors import GiftError
from gift.progress import without_time
from gift.storage import download_directory, list_paths
from pipelines.local.services import Services

DIVERGING = "{learning_rate: 1.0e30}"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = write_inputs(tmp_path_factory.mktemp("inputs"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(folder))
        yield folder


def refusal(job: Job, module: str, folder: Path) -> str:
    with pytest.raises(GiftError) as error:
        job.attempt(module, folder)
    assert not (folder / "checkpoint").exists()
    return str(error.value)


def kept(job: Job, folder: Path) -> list[Any]:
    """The batches that the ranks stored, step by step and rank by rank."""
    uri = f"{job.config.storage.uri}/runs/{job.mlflow_run_id}/sick"
    names = sorted({path.split("/rank-")[0] + "/rank-" + path.split("/rank-")[1][0] for path in list_paths(uri)})
    for name in names:
        download_directory(f"{uri}/{name}", folder / name)
    return [json.loads((folder / name / "batch.json").read_text()) for name in names]


@pytest.mark.slow
def test_a_policy_that_diverges_is_no_result_and_its_batch_is_kept(
    services: Services, inputs: Path, tmp_path: Path
) -> None:
    job = Job(inputs, own_reward("digits"), "rl.steps=9", f"rl.optimizer={DIVERGING}")
    assert refusal(job, "gift.training.rl", tmp_path / "job").startswith("training is sick: a weight has grown to ")
    of_rank_0, of_rank_1 = kept(job, tmp_path / "kept")
    assert len(of_rank_0["groups"]) == len(of_rank_1["groups"]) == 2
    group = of_rank_0["groups"][0]
    assert group.keys() == {"problem", "prompt_ids", "response_ids", "rewards"}
    assert len(group["rewards"]) == len(group["response_ids"]) == job.config.rollout.group_size


@pytest.mark.slow
def test_weights_and_optimizer_go_back_to_the_newest_checkpoint_and_nothing_else_does(
    services: Services, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Left out as step 6, with the checkpoint of step 4: the same as a training that left out steps 5 and 6."""
    monkeypatch.setenv("PYTHONPATH", f"{inputs}:{RANKS}")
    weights = []
    for action, sick in (("rewind", "5"), ("skip", "4,5")):
        monkeypatch.setenv("GIFT_TEST_SICK_STEPS", sick)
        settings = ("rl.steps=8", "rl.checkpoint_every=4", f"health.sick_update={action}")
        job = Job(inputs, own_reward("digits"), *settings)
        job.attempt("sick_steps", tmp_path / action)
        weights.append(job.weights(tmp_path / action))
    printed = capfd.readouterr().out
    assert "step 6: an update is left out, as the gradient is not finite\n" in printed
    assert printed.count("goes back to step 4, from s3://") == 1
    rewound, skipped = weights
    assert all(torch.equal(rewound[name], tensor) for name, tensor in skipped.items())


@pytest.mark.slow
def test_an_sft_model_that_diverges_in_its_only_step_is_no_result(
    services: Services, inputs: Path, tmp_path: Path
) -> None:
    job = Job(inputs, "sft.steps=1", f"sft.optimizer={DIVERGING}")
    assert refusal(job, "gift.training.sft", tmp_path / "job").startswith("training is sick: a weight has grown to ")
    assert "completion" in kept(job, tmp_path / "kept")[0]["demonstrations"][0]


@pytest.mark.slow
def test_a_reward_that_tells_nothing_apart_stops_training(services: Services, inputs: Path, tmp_path: Path) -> None:
    job = Job(inputs, own_reward("constant"), "rl.steps=9", "health.patience=3")
    said = refusal(job, "gift.training.rl", tmp_path / "job")
    assert said.startswith("training is sick: for 3 steps all rewards in each group were equal")
    assert max(step for step, _ in job.history()["reward"]) == 2


@pytest.mark.slow
def test_what_runs_away_is_a_line_and_training_goes_on(
    services: Services, inputs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With a factor at which everything has run away, once there is a history."""
    job = Job(inputs, own_reward("digits"), "rl.steps=16", "health.runaway_factor=1.000001", "health.patience=1")
    job.attempt("gift.training.rl", tmp_path / "job")
    (told,) = [line for line in capfd.readouterr().out.splitlines() if "warning: " in line]
    assert re.fullmatch(r"  step 16: warning: for 1 steps .* was far from its history, .*", without_time(told))

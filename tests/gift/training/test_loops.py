"""Both training loops on real DeepSpeed ranks: the batch is global, and every objective learns."""

import uuid
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file

from gift.config import RunConfig, load_profile
from gift.data.problems import read_problems
from gift.data.scored import ScoredProblem, write_scored
from gift.data.sources import write_data
from gift.errors import GiftError
from gift.models import write_base_model
from gift.training.conversion import convert_checkpoint
from gift.training.job import TrainingJob
from gift.training.launch import launch_ranks
from pipelines.services import Services

TINY = (
    "model.hidden_size=32",
    "model.intermediate_size=64",
    "model.layers=1",
    "model.attention_heads=2",
    "data.sft=64",
    "data.train=32",
    "data.heldout=8",
    "sft.steps=3",
    "sft.batch_size=8",
    "sft.micro_batch_size=4",
    "sft.optimizer.warmup_steps=0",
    "rollout.group_size=8",
    "rollout.max_new_tokens=12",
    "rl.prompts_per_step=4",
    "rl.micro_batch_groups=1",
    "rl.optimizer={learning_rate: 1.0e-2}",
)
OWN_REWARD = """
def digits(completion, problem):
    return sum(character.isdigit() for character in completion) / 12

def some_digit(completion, problem):
    return float(any(character.isdigit() for character in completion))

def rare(completion, problem):
    return float("7" in completion)

def broken(completion, problem):
    return float("nan")
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/ and base/."""
    folder = tmp_path_factory.mktemp("inputs")
    config = load_profile("local", TINY)
    (folder / "base").mkdir()
    write_data(config, folder / "data")
    demonstrations = read_problems(folder / "data" / "sft.jsonl")
    write_base_model(config, demonstrations, folder / "base")
    (folder / "own_reward.py").write_text(OWN_REWARD)
    problems = read_problems(folder / "data" / "train.jsonl", 8)
    write_scored(
        folder / "data" / "scored.jsonl",
        [
            ScoredProblem(f"scored-{index}", problem.question, "", "", ("1", "1 2", "#### 3"), (0.0, 0.5, float(index)))
            for index, problem in enumerate(problems)
        ],
    )
    return folder


class Training:
    """One finished training job."""

    def __init__(self, module: str, inputs: Path, folder: Path, *overrides: str) -> None:
        self.config: RunConfig = load_profile("local", (*TINY, *overrides))
        client = MlflowClient()
        experiment = client.create_experiment(f"test-{uuid.uuid4().hex}")
        run = client.create_run(experiment).info.run_id
        self.inputs, self.folder = inputs, folder
        job = TrainingJob(
            config=self.config,
            model=inputs / "base",
            data=inputs / "data",
            checkpoint=folder / "checkpoint",
            mlflow_run_id=run,
            metric_spool=folder / "metrics.jsonl",
        )
        (folder / "job.json").write_text(job.model_dump_json())
        launch_ranks(module, folder / "job.json", self.config.compute)
        names = client.get_run(run).data.metrics
        self.metrics = {name: [entry.value for entry in client.get_metric_history(run, name)] for name in names}

    def weights(self) -> dict[str, torch.Tensor]:
        output = self.folder / "model"
        convert_checkpoint(
            self.folder / "checkpoint", self.inputs / "base", output, precision="fp32", max_shard_bytes=2**30
        )
        return load_file(output / "model.safetensors")


def test_sft_is_the_same_whatever_the_ranks_and_micro_batches(
    services: Services, inputs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    one, two = (
        Training("gift.training.sft", inputs, tmp_path_factory.mktemp("sft"), *overrides)
        for overrides in (
            ("compute.ranks=1", "sft.micro_batch_size=8"),
            ("compute.ranks=2", "sft.micro_batch_size=2"),
        )
    )
    for name in ("loss", "grad_norm"):
        assert len(one.metrics[name]) == 3
        assert one.metrics[name] == pytest.approx(two.metrics[name], rel=1e-4)
    assert one.metrics["loss"][-1] < one.metrics["loss"][0]
    expected = one.weights()
    for name, found in two.weights().items():
        torch.testing.assert_close(found, expected[name], rtol=0, atol=2e-4, msg=name)


SOME_DIGIT = "rewards=[{kind: function, function: 'own_reward:some_digit'}]"
OWN = "rewards=[{kind: function, function: 'own_reward:digits'}]"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize("zero_stage", [2, 3])
def test_gift_starts_at_its_reference_and_learns_a_reward_of_ones_own(
    services: Services, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zero_stage: int
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(inputs))
    overrides = (f"compute.zero_stage={zero_stage}", OWN, "rl.steps=40", "rl.heldout_every=20", "rl.heldout_problems=8")
    metrics = Training("gift.training.rl", inputs, tmp_path, *overrides).metrics
    assert len(metrics["reward"]) == 40
    # Policy and reference are the same at first: no drift, and the loss is the variance of the advantages, 1.
    assert metrics["kl"][0] == metrics["gift/implicit_reward_std"][0] == 0
    assert metrics["loss"][0] == pytest.approx(1, abs=1e-5)
    assert metrics["gift/frac_at_floor"][0] == 1
    assert metrics["kl"][-1] > 0
    assert _mean(metrics["reward"][-3:]) > _mean(metrics["reward"][:3]) + 0.1
    assert metrics["rewards/function/mean"] == metrics["reward"]
    assert set(metrics["rewards/function/errors"]) == {0}
    # The look at held-out problems: at steps 0, 20 and 39, and it rises too.
    assert len(metrics["heldout_accuracy"]) == 3
    assert metrics["heldout_accuracy"][-1] > metrics["heldout_accuracy"][0]
    expected_gap = metrics["train_accuracy"][0] - metrics["heldout_accuracy"][0]
    assert metrics["overfitting_gap"][0] == pytest.approx(expected_gap)


@pytest.mark.parametrize(
    "overrides",
    [
        ("algorithm=grpo", "rl.mini_batches=2"),
        ("algorithm=gvpo", "gvpo.beta=0.2"),
        ("algorithm=una", "una.beta=1.0"),
        ("algorithm=dpo", "dpo.beta=1.0", "rl.groups=on-policy"),
        ("gift=author", "rl.mini_batches=2"),
    ],
    ids=["grpo", "gvpo", "una", "dpo", "gift, author"],
)
def test_the_same_trainer_runs_every_objective(
    services: Services, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(inputs))
    settings = ("compute.ranks=1", SOME_DIGIT, "rl.steps=30", *overrides)
    metrics = Training("gift.training.rl", inputs, tmp_path, *settings).metrics
    assert _mean(metrics["reward"][-3:]) > _mean(metrics["reward"][:3]) + 0.1
    assert ("kl" in metrics) == ("gift=author" not in overrides)


def test_dpo_learns_from_groups_that_the_sft_model_wrote_once(
    services: Services, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(inputs))
    settings = ("compute.ranks=1", SOME_DIGIT, "rl.steps=20", "algorithm=dpo", "dpo.beta=1.0", "rl.heldout_every=19")
    metrics = Training("gift.training.rl", inputs, tmp_path, *settings).metrics
    # What is learned shows in fresh samples only: the groups themselves stay those of the SFT model.
    assert metrics["heldout_accuracy"][-1] > metrics["heldout_accuracy"][0] + 0.1
    assert abs(_mean(metrics["reward"][-5:]) - _mean(metrics["reward"][:5])) < 0.1
    assert _mean(metrics["rewards/accuracies"][-3:]) > 0.6


def test_refilling_replaces_groups_whose_rewards_are_equal(
    services: Services, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(inputs))
    rare = "rewards=[{kind: function, function: 'own_reward:rare'}]"
    dropped, refilled = (
        Training(
            "gift.training.rl",
            inputs,
            tmp_path_of(tmp_path, choice),
            *("compute.ranks=1", rare, "rl.steps=3", f"gift.zero_variance={choice}", "rollout.refill_rounds=8"),
        ).metrics
        for choice in ("drop", "refill")
    )
    assert sum(dropped["frac_reward_zero_std"]) > 0
    assert set(dropped["sampled_groups"]) == {4}
    assert sum(refilled["frac_reward_zero_std"]) < sum(dropped["frac_reward_zero_std"])
    assert max(refilled["sampled_groups"]) > 4


def _dataset(inputs: Path) -> tuple[str, str]:
    names = ("train_file: train", "heldout_file: heldout", "scored_file: scored")
    files = ", ".join(f"{key} {inputs}/data/{name}.jsonl" for key, name in (name.split(" ") for name in names))
    return f"data={{source: jsonl, {files}}}", "rl.groups=dataset"


def test_an_update_from_a_data_set_is_the_same_whatever_the_ranks_and_micro_batches(
    services: Services, inputs: Path, tmp_path: Path
) -> None:
    """DeepSpeed's own averaging, in float32; see test_update.py for float64."""
    one, two = (
        Training(
            "gift.training.rl",
            inputs,
            tmp_path_of(tmp_path, str(ranks)),
            *(f"compute.ranks={ranks}", f"rl.micro_batch_groups={groups}", *_dataset(inputs), "rl.steps=2"),
            *("rollout.group_size=3", "rl.optimizer={learning_rate: 1.0e-3}"),
        )
        for ranks, groups in ((1, 4), (2, 1))
    )
    for name in ("reward", "loss", "grad_norm", "gift/implicit_reward_std", "kl"):
        assert one.metrics[name] == pytest.approx(two.metrics[name], rel=1e-4, abs=1e-7)
    expected = one.weights()
    for name, found in two.weights().items():
        torch.testing.assert_close(found, expected[name], rtol=0, atol=2e-5, msg=name)


def test_a_reward_that_is_no_number_is_named(
    services: Services, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(inputs))
    broken = "rewards=[{kind: function, function: 'own_reward:broken'}]"
    with pytest.raises(GiftError, match=r"broken.* nan .*train-"):
        Training("gift.training.rl", inputs, tmp_path, broken, "rl.steps=1", "compute.ranks=1")


def test_scored_rows_must_have_the_group_size(services: Services, inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(GiftError, match=r"scored problem scored-0 has 3 responses, rollout\.group_size is 8"):
        Training("gift.training.rl", inputs, tmp_path, *_dataset(inputs), "rl.steps=1", "compute.ranks=1")


def tmp_path_of(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder

"""Both training loops on real DeepSpeed ranks: the batch is global, GIFT starts at its reference, and GIFT learns."""

import uuid
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file

from gift.config import RunConfig, load_profile
from gift.data.problems import read_problems
from gift.data.sources import write_splits
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

def broken(completion, problem):
    return float("nan")
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/ and base/."""
    folder = tmp_path_factory.mktemp("inputs")
    config = load_profile("local", TINY)
    (folder / "base").mkdir()
    write_splits(config.data, config.seed, folder / "data")
    write_base_model(config.model, read_problems(folder / "data" / "sft.jsonl"), config.seed, folder / "base")
    (folder / "own_reward.py").write_text(OWN_REWARD)
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


@pytest.mark.parametrize("zero_stage", [2, 3])
def test_gift_starts_at_its_reference_and_learns_a_reward_of_ones_own(
    services: Services, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zero_stage: int
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(inputs))
    training = Training(
        "gift.training.rl",
        inputs,
        tmp_path,
        f"compute.zero_stage={zero_stage}",
        "reward=own_reward:digits",
        "rl.steps=40",
    )
    metrics = training.metrics
    assert len(metrics["reward"]) == 40
    # Policy and reference are the same at first: no drift, and the loss is the variance of the advantages, 1.
    assert metrics["kl"][0] == metrics["gift/implicit_reward_std"][0] == 0
    assert metrics["loss"][0] == pytest.approx(1, abs=1e-5)
    assert metrics["gift/frac_at_floor"][0] == 1
    assert metrics["kl"][-1] > 0
    assert sum(metrics["reward"][-3:]) / 3 > sum(metrics["reward"][:3]) / 3 + 0.1
    expected_tokens = 4 * 8 * metrics["completions/mean_length"][0]
    assert metrics["num_tokens"][0] == pytest.approx(expected_tokens)


def test_a_reward_that_is_no_number_is_named(
    services: Services, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(inputs))
    with pytest.raises(GiftError, match="reward own_reward:broken gave nan for problem train-"):
        Training("gift.training.rl", inputs, tmp_path, "reward=own_reward:broken", "rl.steps=1", "compute.ranks=1")

"""Training adapters on real DeepSpeed ranks: the reference is the model under them, and what is left is merged."""

import functools
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_jobs import Training, own_reward, scored_dataset, train_together, write_inputs

from gift.weights.trained_weights import read_trained_weights
from pipelines.local.services import Services

SFT, RL = "gift.training.sft", "gift.training.rl"
WIDE = "model.initializer_range=0.3"
LORA = (WIDE, "lora={rank: 4, alpha: 16}", "rl.optimizer={learning_rate: 3.0e-2}", "sft.steps=8")
DATASET = ("rollout.group_size=3", "rl.steps=3")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head that stays as random as it is needs an embedding that tells tokens apart."""
    return write_inputs(tmp_path_factory.mktemp("inputs"), WIDE)


@pytest.fixture(scope="module")
def one_rank(services: Services, inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Training]:
    cases = {
        "sft": (SFT, *LORA, "sft.optimizer.learning_rate=2.0e-2"),
        "dataset": (RL, *LORA, *DATASET, *scored_dataset(inputs)),
        "small micro-batches": (RL, *LORA, *DATASET, *scored_dataset(inputs), "compute.tokens_per_micro_batch=110"),
        "checkpointing": (RL, *LORA, *DATASET, *scored_dataset(inputs), "compute.activation_checkpointing=true"),
    }
    alone = {name: (*case, "compute.ranks=1") for name, case in cases.items()}
    return train_together(inputs, tmp_path_factory.mktemp("one"), alone)


@pytest.fixture(scope="module")
def two_ranks(services: Services, inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Training]:
    cases: dict[str, tuple[str, ...]] = {
        "sft, zero 3": (SFT, *LORA, "sft.optimizer.learning_rate=2.0e-2", "compute.zero_stage=3")
    }
    for stage in (1, 2, 3):
        cases[f"dataset, zero {stage}"] = (RL, *LORA, *DATASET, *scored_dataset(inputs), f"compute.zero_stage={stage}")
        cases[f"sampled, zero {stage}"] = (
            *(RL, *LORA, own_reward("some_digit"), "rl.steps=30", f"compute.zero_stage={stage}"),
            *("compute.precision=bf16",) * (stage == 2),
        )
    return train_together(inputs, tmp_path_factory.mktemp("two"), cases)


@functools.cache
def _weights(training: Training) -> dict[str, torch.Tensor]:
    return training.weights()


def _expect_the_same(one: Training, other: Training, *metrics: str) -> None:
    for name in metrics:
        assert one.metrics[name] == pytest.approx(other.metrics[name], rel=1e-4, abs=1e-7)
    expected = _weights(one)
    for name, found in _weights(other).items():
        torch.testing.assert_close(found, expected[name], rtol=0, atol=2e-5, msg=name)


def test_sft_of_adapters_is_the_same_whatever_the_ranks(
    one_rank: dict[str, Training], two_ranks: dict[str, Training]
) -> None:
    _expect_the_same(one_rank["sft"], two_ranks["sft, zero 3"], "loss", "grad_norm")
    assert one_rank["sft"].metrics["loss"][-1] < one_rank["sft"].metrics["loss"][0] - 0.1


@pytest.mark.parametrize("zero_stage", [1, 2, 3])
def test_an_update_of_adapters_is_the_same_whatever_the_ranks(
    one_rank: dict[str, Training], two_ranks: dict[str, Training], zero_stage: int
) -> None:
    one = one_rank["dataset"]
    _expect_the_same(one, two_ranks[f"dataset, zero {zero_stage}"], "loss", "grad_norm", "kl")
    assert one.metrics["kl"][0] == 0 < one.metrics["kl"][-1]


@pytest.mark.parametrize("case", ["small micro-batches", "checkpointing"])
def test_an_update_of_adapters_is_the_same_however_it_goes_through_the_model(
    one_rank: dict[str, Training], case: str
) -> None:
    _expect_the_same(one_rank["dataset"], one_rank[case], "loss", "grad_norm", "kl")


@pytest.mark.parametrize("zero_stage", [1, 2, 3])
def test_gift_with_adapters_starts_at_its_reference_and_learns(two_ranks: dict[str, Training], zero_stage: int) -> None:
    metrics = two_ranks[f"sampled, zero {zero_stage}"].metrics
    assert metrics["kl"][0] == metrics["gift/implicit_reward_std"][0] == 0 < metrics["kl"][-1]
    assert sum(metrics["reward"][-3:]) > sum(metrics["reward"][:3]) + 0.3


def test_a_training_leaves_adapters_alone_and_they_merge_into_the_model_it_began_with(
    two_ranks: dict[str, Training], inputs: Path
) -> None:
    training = two_ranks["sampled, zero 3"]
    left = read_trained_weights(training.folder / "checkpoint")
    assert len(left) == 14  # two for each of seven layers
    assert all(".lora_" in name for name in left)
    base, merged = load_file(inputs / "base" / "model.safetensors"), _weights(training)
    assert base.keys() == merged.keys()
    changed = {name for name, value in merged.items() if not torch.equal(value, base[name])}
    assert changed == {name for name in base if "_proj." in name}
    config = json.loads((training.folder / "model" / "config.json").read_text())
    assert "peft" not in json.dumps(config)

"""Both training loops on real DeepSpeed ranks: the batch is global, and every objective learns."""

from pathlib import Path

import pytest
import torch
from tiny_jobs import Training, own_reward, scored_dataset, train, train_together, write_inputs

from gift.errors import GiftError
from pipelines.local.services import Services

SFT, RL = "gift.training.sft", "gift.training.rl"
SOME_DIGIT, OWN, RARE = own_reward("some_digit"), own_reward("digits"), own_reward("rare")
OBJECTIVES = {
    "grpo": ("algorithm=grpo", "rl.mini_batches=2"),
    "gvpo": ("algorithm=gvpo", "gvpo.beta=0.2"),
    "una": ("algorithm=una", "una.beta=1.0"),
    "dpo": ("algorithm=dpo", "dpo.beta=1.0", "rl.groups=on-policy"),
    "gift, author": ("gift=author", "rl.mini_batches=2"),
    "dr_grpo": ("algorithm=dr_grpo", "rl.mini_batches=2"),
    "dapo": ("algorithm=dapo", "rl.mini_batches=2", "dapo.zero_variance=keep"),
    "gspo": ("algorithm=gspo", "rl.mini_batches=2", "gspo.kl_coefficient=0.001"),
    "cispo": ("algorithm=cispo", "rl.mini_batches=2"),
    "oapl": ("algorithm=oapl", "rl.mini_batches=2"),
}
WITHOUT_REFERENCE = ("gift, author", "dr_grpo", "dapo", "cispo", "oapl")
LONG = ("rl.steps=30", "rl.heldout_every=15", "rl.heldout_problems=8")


def _update_from_dataset(inputs: Path, tokens: int) -> tuple[str, ...]:
    size = ("rollout.group_size=3", f"compute.tokens_per_micro_batch={tokens}", "rl.steps=2")
    return (RL, *scored_dataset(inputs), *size, "rl.optimizer={learning_rate: 1.0e-3}")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def one_rank(services: Services, inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Training]:
    """All trainings that one rank can do."""
    cases = {name: (RL, SOME_DIGIT, "rl.steps=20", *settings) for name, settings in OBJECTIVES.items()}
    cases |= {
        "sft": (SFT,),
        "dataset": _update_from_dataset(inputs, tokens=4096),
        "dpo, once": (
            RL,
            SOME_DIGIT,
            "rl.steps=20",
            "rl.prompts_per_step=16",
            "algorithm=dpo",
            "dpo.beta=1.0",
            "rl.heldout_every=19",
        ),
    }
    for choice in ("drop", "refill"):
        cases[choice] = (RL, RARE, "rl.steps=3", f"gift.zero_variance={choice}", "rollout.refill_rounds=8")
    alone = {name: (*case, "compute.ranks=1") for name, case in cases.items()}
    return train_together(inputs, tmp_path_factory.mktemp("one"), alone)


@pytest.fixture(scope="module")
def two_ranks(services: Services, inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Training]:
    """All trainings that two ranks do together."""
    cases = {
        "sft": (SFT, "compute.tokens_per_micro_batch=110"),
        "dataset": _update_from_dataset(inputs, tokens=110),
        "gift, zero 2": (RL, OWN, *LONG, "compute.zero_stage=2"),
        "gift, zero 3": (RL, OWN, *LONG, "compute.zero_stage=3"),
    }
    short = ("compute.precision=bf16", "rl.steps=4", "rl.heldout_every=3", "rl.heldout_problems=8")
    cases |= {f"bf16, zero {stage}": (RL, OWN, *short, f"compute.zero_stage={stage}") for stage in (1, 2, 3)}
    return train_together(inputs, tmp_path_factory.mktemp("two"), cases)


def test_sft_is_the_same_whatever_the_ranks_and_micro_batches(
    one_rank: dict[str, Training], two_ranks: dict[str, Training]
) -> None:
    one, two = one_rank["sft"], two_ranks["sft"]
    for name in ("loss", "grad_norm"):
        assert len(one.metrics[name]) == 3
        assert one.metrics[name] == pytest.approx(two.metrics[name], rel=1e-4)
    assert one.metrics["loss"][-1] < one.metrics["loss"][0]
    expected = one.weights()
    for name, found in two.weights().items():
        torch.testing.assert_close(found, expected[name], rtol=0, atol=2e-4, msg=name)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize("zero_stage", [2, 3])
def test_gift_starts_at_its_reference_and_learns_a_reward_of_ones_own(
    two_ranks: dict[str, Training], zero_stage: int
) -> None:
    metrics = two_ranks[f"gift, zero {zero_stage}"].metrics
    assert len(metrics["reward"]) == 30
    # Policy and reference are the same at first: no drift, and the loss is the variance of the advantages, 1.
    assert metrics["kl"][0] == metrics["gift/implicit_reward_std"][0] == 0
    assert metrics["loss"][0] == pytest.approx(1, abs=1e-5)
    assert metrics["gift/frac_at_floor"][0] == 1
    # No β(x) while every implicit reward is 0, then one whose mean and quantiles are those of its groups.
    for name in ("mean", "p10", "p50", "p90"):
        assert len(metrics[f"gift/beta/{name}"]) == 29
    assert all(low <= high for low, high in zip(metrics["gift/beta/p10"], metrics["gift/beta/p90"], strict=True))
    assert metrics["kl"][-1] > 0
    assert _mean(metrics["reward"][-3:]) > _mean(metrics["reward"][:3]) + 0.1
    assert metrics["rewards/function/mean"] == metrics["reward"]
    assert set(metrics["rewards/function/errors"]) == {0}
    # The look at held-out problems: at steps 0, 15 and 29, and it rises too.
    assert len(metrics["heldout_accuracy"]) == 3
    assert metrics["heldout_accuracy"][-1] > metrics["heldout_accuracy"][0]
    expected_gap = metrics["train_accuracy"][0] - metrics["heldout_accuracy"][0]
    assert metrics["overfitting_gap"][0] == pytest.approx(expected_gap)


@pytest.mark.parametrize("zero_stage", [1, 2, 3])
def test_what_bf16_adds_to_implicit_rewards_is_measured_at_each_look(
    two_ranks: dict[str, Training], zero_stage: int
) -> None:
    metrics = two_ranks[f"bf16, zero {zero_stage}"].metrics
    assert len(metrics["reward"]) == 4
    # While the policy is its reference, both are computed alike: no noise, and no reward, either.
    first, last = metrics["gift/implicit_reward_noise"]
    assert first == 0 < last < 1
    assert "gift/implicit_reward_noise" not in two_ranks["gift, zero 2"].metrics, "float32 is the measure"


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_same_trainer_runs_every_objective(one_rank: dict[str, Training], objective: str) -> None:
    metrics = one_rank[objective].metrics
    assert _mean(metrics["reward"][-3:]) > _mean(metrics["reward"][:3]) + 0.1
    assert ("kl" in metrics) == (objective not in WITHOUT_REFERENCE)


def test_dpo_learns_from_groups_that_the_sft_model_wrote_once(one_rank: dict[str, Training]) -> None:
    metrics = one_rank["dpo, once"].metrics
    # What is learned shows in fresh samples only: the groups themselves stay those of the SFT model.
    assert metrics["heldout_accuracy"][-1] > metrics["heldout_accuracy"][0] + 0.1
    assert abs(_mean(metrics["reward"][-5:]) - _mean(metrics["reward"][:5])) < 0.1
    assert _mean(metrics["rewards/accuracies"][-3:]) > 0.7


def test_refilling_replaces_groups_whose_rewards_are_equal(one_rank: dict[str, Training]) -> None:
    dropped, refilled = one_rank["drop"].metrics, one_rank["refill"].metrics
    assert sum(dropped["frac_reward_zero_std"]) > 0
    assert set(dropped["sampled_groups"]) == {4}
    assert sum(refilled["frac_reward_zero_std"]) < sum(dropped["frac_reward_zero_std"])
    assert max(refilled["sampled_groups"]) > 4


def test_an_update_from_a_data_set_is_the_same_whatever_the_ranks_and_micro_batches(
    one_rank: dict[str, Training], two_ranks: dict[str, Training]
) -> None:
    """DeepSpeed's own averaging, in float32; see test_update.py for float64."""
    one, two = one_rank["dataset"], two_ranks["dataset"]
    for name in ("reward", "loss", "grad_norm", "gift/implicit_reward_std", "kl"):
        assert one.metrics[name] == pytest.approx(two.metrics[name], rel=1e-4, abs=1e-7)
    expected = one.weights()
    for name, found in two.weights().items():
        torch.testing.assert_close(found, expected[name], rtol=0, atol=2e-5, msg=name)


def test_a_reward_that_is_no_number_is_named(
    services: Services, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(inputs))
    with pytest.raises(GiftError, match=r"broken.* nan .*train-"):
        train(RL, inputs, tmp_path, own_reward("broken"), "rl.steps=1", "compute.ranks=1")


def test_scored_rows_must_have_the_group_size(services: Services, inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(GiftError, match=r"scored problem scored-0 has 3 responses, rollout\.group_size is 8"):
        train(RL, inputs, tmp_path, *scored_dataset(inputs), "rl.steps=1", "compute.ranks=1")

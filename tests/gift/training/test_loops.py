"""Both training loops on real DeepSpeed ranks: the batch is global, and every objective learns."""

from pathlib import Path

import pytest
import torch
from tiny_jobs import Training, own_reward, write_inputs

from gift.errors import GiftError
from pipelines.local.services import Services


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


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


SOME_DIGIT, OWN = own_reward("some_digit"), own_reward("digits")


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
    dropped, refilled = (
        Training(
            "gift.training.rl",
            inputs,
            tmp_path_of(tmp_path, choice),
            *(
                "compute.ranks=1",
                own_reward("rare"),
                "rl.steps=3",
                f"gift.zero_variance={choice}",
                "rollout.refill_rounds=8",
            ),
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
    with pytest.raises(GiftError, match=r"broken.* nan .*train-"):
        Training("gift.training.rl", inputs, tmp_path, own_reward("broken"), "rl.steps=1", "compute.ranks=1")


def test_scored_rows_must_have_the_group_size(services: Services, inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(GiftError, match=r"scored problem scored-0 has 3 responses, rollout\.group_size is 8"):
        Training("gift.training.rl", inputs, tmp_path, *_dataset(inputs), "rl.steps=1", "compute.ranks=1")


def tmp_path_of(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder

"""A batch in which no group counts, or whose gradient is not finite or far too large, leaves weights and optimizer as
they were, to the last bit, for every ZeRO stage.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_llamas import ROOT, write_template
from zero_checkpoint import read_parameters

from gift.config import ComputeConfig
from gift.launch.one_node import launch_ranks

EMPTY = {
    f"stage {stage}, {precision}": (f"compute.zero_stage={stage}", f"compute.precision={precision}")
    for stage in (1, 2, 3)
    for precision in ("fp32", "bf16")
} | {"mini-batches": ("compute.zero_stage=3", "rl.mini_batches=2")}
SICK = {
    f"{middle}, {name}": EMPTY[name]
    for middle, names in {
        "not finite": ("stage 1, bf16", "stage 2, fp32", "stage 3, fp32", "mini-batches"),
        "far too large": ("stage 1, fp32", "stage 2, bf16", "stage 3, bf16", "mini-batches"),
    }.items()
    for name in names
}
CASES = EMPTY | SICK


def _middle(name: str) -> str:
    return name.split(", ", 1)[0] if name in SICK else "without signal"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("no-update")
    job = {
        "template": str(write_template(folder / "template", tied=True)),
        "cases": [
            {"overrides": overrides, "output": str(folder / name), "middle": _middle(name)}
            for name, overrides in CASES.items()
        ],
    }
    (folder / "job.json").write_text(json.dumps(job))
    with pytest.MonkeyPatch.context() as environment:
        support = Path(__file__).parents[2] / "support" / "ranks"
        environment.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{support}")
        launch_ranks("learn_nothing", folder / "job.json", ComputeConfig(device="cpu"))
    return folder


def _optimizer(checkpoint: Path) -> list[Any]:
    """Master weights, moments and step counts of all ranks."""
    files = sorted(checkpoint.glob("step-*/*optim_states.pt"))
    assert len(files) == 2
    return [torch.load(path, weights_only=False)["optimizer_state_dict"] for path in files]


def _moments(checkpoint: Path) -> list[Any]:
    """Without the master weights, which ZeRO-3 pads with what happens to be in memory."""
    return [{key: value for key, value in rank.items() if key != "fp32_flat_groups"} for rank in _optimizer(checkpoint)]


def _weights(checkpoint: Path) -> list[Any]:
    files = sorted(checkpoint.glob("step-*/*model_states.pt"))
    return [torch.load(path, weights_only=False)["module"] for path in files]


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """As bytes: ZeRO-3's padding may hold NaN, which equals nothing as a number."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.shape == other.shape and torch.equal(_bits(one), _bits(other))
    if isinstance(one, dict):
        # The learning rate of the next update is the schedule's, which moves on.
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one if key != "lr")
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return not isinstance(one, int | float) or one == other


@pytest.mark.parametrize("case", CASES)
def test_nothing_moves_but_the_learning_rate(trained: Path, case: str) -> None:
    folder = trained / case
    before, after, end = (_optimizer(folder / name) for name in ("before", "after", "end"))
    assert _same(before, after)
    assert not _same(after, end)
    assert _same(_weights(folder / "before"), _weights(folder / "after"))
    first, nothing, last = json.loads((folder / "measured.json").read_text())
    assert [step["learning_rate"] for step in (first, nothing, last)] == pytest.approx([0.01, 0.0075, 0.005])


@pytest.mark.parametrize("case", EMPTY)
def test_an_engine_that_has_trained_goes_back_to_a_checkpoint_to_the_last_bit(trained: Path, case: str) -> None:
    before, rewound = trained / case / "before", trained / case / "rewound"
    assert _same(_optimizer(before), _optimizer(rewound))
    assert _same(_weights(before), _weights(rewound))


@pytest.mark.parametrize("case", CASES)
def test_training_goes_on_as_if_the_batch_had_not_been(trained: Path, case: str) -> None:
    folder = trained / case
    for other in (folder / "without", folder / "resumed"):
        assert _same(_moments(folder / "end"), _moments(other))
        expected, found = read_parameters(folder / "end"), read_parameters(other)
        assert all(torch.equal(found[name].assemble(), stored.assemble()) for name, stored in expected.items())


@pytest.mark.parametrize("case", SICK)
def test_a_sick_batch_takes_no_update(trained: Path, case: str) -> None:
    first, sick, last = json.loads((trained / case / "measured.json").read_text())
    updates = 2 if case.endswith("mini-batches") else 1
    assert [step["updates"] for step in (first, sick, last)] == [updates, 0, updates]


@pytest.mark.parametrize("case", EMPTY)
def test_the_batch_is_measured_all_the_same(trained: Path, case: str) -> None:
    first, nothing, last = json.loads((trained / case / "measured.json").read_text())
    updates = 2 if case == "mini-batches" else 1
    assert [step["updates"] for step in (first, nothing, last)] == [updates, 0, updates]
    assert nothing["grad_norm"] == nothing["loss"] == 0
    assert first["grad_norm"] > 0
    assert nothing["kl"] > 0
    assert nothing["entropy"] == pytest.approx(first["entropy"], rel=0.2)
    assert nothing["frac_reward_zero_std"] == 1
    assert nothing.keys() == first.keys()

"""A batch in which no group counts, or whose gradient is not finite or far too large, leaves weights and optimizer as
they were, to the last bit, for every ZeRO stage.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from tiny_llamas import ROOT, write_template
from zero_checkpoint import read_parameters, read_step_counts

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


def _optimizer(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Master weights, moments and the count of updates, without ZeRO's padding."""
    counts = {"updates": torch.tensor(sorted(read_step_counts(checkpoint)))}
    assert len(counts["updates"]) == 1
    return counts | {
        f"{kind} of {name}": stored.assemble()
        for kind in ("master", "exp_avg", "exp_avg_sq")
        for name, stored in read_parameters(checkpoint, kind).items()
    }


def _weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    files = sorted(checkpoint.glob("step/*model_states.pt"))
    modules = [torch.load(path, weights_only=False)["module"] for path in files]
    return {f"{name} of {rank}": weight for rank, module in enumerate(modules) for name, weight in module.items()}


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


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
        assert _same(_optimizer(folder / "end"), _optimizer(other))
        assert _same(_weights(folder / "end"), _weights(other))


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
    # All but β(x), which groups have whose rewards differ and whose policy has left its reference.
    assert {name for name in nothing.keys() ^ first.keys() if not name.startswith("gift/beta/")} == set()

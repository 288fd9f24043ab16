"""What other ranks have left is gone on from: the same master weights, moments and learning rate, to the last bit."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_llamas import OPTIMIZER, ROOT, batches, write_template
from zero_checkpoint import read_parameters, read_step_counts

from gift.config import ComputeConfig
from gift.errors import GiftError
from gift.launch.one_node import launch_ranks
from gift.weights.trained_weights import read_shares

CASES: dict[str, dict[str, Any]] = {
    "stage 1": {"zero_stage": 1},
    "stage 2": {"zero_stage": 2},
    "stage 3": {"zero_stage": 3},
    "stage 1 in bf16": {"zero_stage": 1, "precision": "bf16"},
    "stage 2 in bf16": {"zero_stage": 2, "precision": "bf16"},
    "stage 3 in bf16 with offload": {"zero_stage": 3, "precision": "bf16", "offload": "cpu"},
}
Cases = dict[str, tuple[dict[str, Any], tuple[Path, int] | None, list[int]]]
"""Name → a spread, the folder and the number of ranks that it begins with, and its updates."""
OTHER_STAGE = {1: 3, 2: 1, 3: 2}
RANKS = (1, 2, 4)


def other_stage(compute: dict[str, Any]) -> dict[str, Any]:
    return {"zero_stage": OTHER_STAGE[compute["zero_stage"]], "precision": compute.get("precision", "fp32")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two updates by two ranks, from which 1, 2 and 4 ranks take the third; and two ranks begin with what they left."""
    folder = tmp_path_factory.mktemp("spread")
    write_template(folder / "template", tied=True)
    middle = {name: (folder / "middle" / name / "end" / "ours", 2) for name in CASES}
    run(folder, 2, {f"middle/{name}": (compute, None, [0, 1]) for name, compute in CASES.items()})
    for ranks in RANKS:
        same: Cases = {f"{ranks}/{name}": (compute, middle[name], [2]) for name, compute in CASES.items()}
        other: Cases = {f"{ranks}/other/{name}": (other_stage(CASES[name]), middle[name], []) for name in CASES}
        run(folder, ranks, same | other)
    back: Cases = {
        f"back from {ranks}/{name}": (compute, (folder / str(ranks) / name / "begun" / "ours", ranks), [])
        for ranks in (1, 4)
        for name, compute in CASES.items()
    }
    run(folder, 2, back)
    return folder


def run(folder: Path, ranks: int, cases: Cases) -> None:
    job = {
        "template": str(folder / "template"),
        "optimizer": OPTIMIZER,
        "batches": batches().flatten(1, -2).tolist(),
        "cases": [
            {
                "compute": compute | {"ranks": ranks},
                "begin": str(begin[0]) if begin else None,
                "written_by": begin[1] if begin else 0,
                "updates": updates,
                "output": str(folder / name),
            }
            for name, (compute, begin, updates) in cases.items()
        ],
    }
    (folder / "job.json").write_text(json.dumps(job))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{Path(__file__).parents[2] / 'support' / 'ranks'}")
        launch_ranks("spread_tiny_llamas", folder / "job.json", ComputeConfig(device="cpu", ranks=ranks))


def held(checkpoint: Path) -> dict[str, torch.Tensor]:
    """What DeepSpeed says that it holds, gathered from all ranks."""
    return {
        f"{kind} of {name}": stored.assemble()
        for kind in ("master", "exp_avg", "exp_avg_sq")
        for name, stored in read_parameters(checkpoint, kind).items()
    }


@pytest.mark.parametrize(
    "begun", [*map(str, RANKS), *(f"{ranks}/other" for ranks in RANKS), "back from 1", "back from 4"]
)
@pytest.mark.parametrize("case", CASES)
def test_other_ranks_begin_with_what_these_have_left_to_the_last_bit(trained: Path, case: str, begun: str) -> None:
    left, found = trained / "middle" / case / "end", trained / begun / case / "begun"
    expected, held_now = held(left), held(found)
    assert held_now.keys() == expected.keys()
    for name, numbers in expected.items():
        assert torch.equal(held_now[name], numbers), name
        assert numbers.any(), f"{name} is nothing but zeros"
    assert read_step_counts(found) == read_step_counts(left) == {2.0}
    said, said_before = load_file(found / "said.safetensors"), load_file(left / "said.safetensors")
    assert torch.equal(said["learning_rate"], said_before["learning_rate"])
    assert torch.equal(said["logits"], said_before["logits"]), "the model's weights are the master weights, rounded"


@pytest.mark.parametrize("ranks", [1, 4])
@pytest.mark.parametrize("case", CASES)
def test_the_next_update_is_the_one_that_the_former_ranks_would_have_taken(
    trained: Path, case: str, ranks: int
) -> None:
    """It differs in how sums are rounded."""
    expected, found = held(trained / "2" / case / "end"), held(trained / str(ranks) / case / "end")
    before = held(trained / "middle" / case / "end")
    steps = {name: numbers - before[name] for name, numbers in expected.items() if name.startswith("master")}
    assert read_step_counts(trained / str(ranks) / case / "end") == {3.0}
    assert max(float(step.abs().max()) for step in steps.values()) > 1e-3
    tolerance = 2e-2 if "bf16" in case else 1e-3
    for name, step in steps.items():
        difference = (found[name] - expected[name]).norm() / step.norm()
        assert difference < tolerance, f"{name}: {difference:.1e} of the update"


def test_numbers_that_are_in_no_file_are_told_of(trained: Path) -> None:
    folder = trained / "middle" / "stage 3" / "end" / "ours" / "master"
    name = "model.embed_tokens.weight"
    whole, half = (read_shares(folder, of, 2)[name] for of in ([1, 0], [0]))
    numbers = torch.Size(whole.shape).numel()
    assert torch.equal(torch.cat(tuple(half.between(3, 5))), torch.cat(tuple(whole.pieces()))[3:5])
    with pytest.raises(GiftError, match=rf"numbers \d+ to {numbers - 1} of {name} are in no file of any rank"):
        list(half.pieces())

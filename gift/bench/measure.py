"""Measures a case: every side is a process of its own, all are there at once, and one of them works at a time.

    warm-up   gift, trl, matrix          their first gradients must be equal
    round 1   matrix, trl, gift          …and so on, the order turned each time

So whatever slows the machine down for a while slows all sides down, and the memory of one is not in another's.

Left out: rewards, which are the same work on both sides, and more than one rank.
"""

import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from gift.bench.cases import StepCase
from gift.bench.floor import floor_operations
from gift.bench.objective import GRADIENT, LARGEST_DIFFERENCE
from gift.bench.results import SideName, StepMeasurement, Turn, seconds_of, unit_of
from gift.bench.sides import Side, open_side, write_inputs_apart
from gift.errors import GiftError
from gift.fingerprint.provenance import provenance


def require_trl() -> None:
    """Raises: GiftError: TRL is not installed."""
    if importlib.util.find_spec("trl") is None:
        raise GiftError("TRL is not installed, and there is nothing to compare with; `make bench-install` installs it")


def measure_step(case: StepCase, repeats: int, *, stock: bool, tell: Callable[[str], None]) -> StepMeasurement:
    """One case by turns, `repeats` rounds after one that warms up.

    Args:
        stock: whether TRL takes part a second time, as it is on a CPU; on a GPU that is what it is anyway.
        tell: is called with a line for each round.

    Raises:
        GiftError: TRL is not installed, a side failed, the gradients differ, or `stock` on a GPU.
    """
    require_trl()
    if stock and case.device != "cpu":
        raise GiftError("stock TRL differs from TRL on a CPU alone; leave --stock out")
    names: tuple[SideName, ...] = ("gift", "trl", "trl-stock", "matrix") if stock else ("gift", "trl", "matrix")
    with tempfile.TemporaryDirectory(prefix="gift-bench-") as scratch, ExitStack() as resources:
        inputs = Path(scratch, "inputs")
        write_inputs_apart(case, inputs, Path(scratch))
        sides = {
            name: resources.enter_context(open_side(name, inputs, Path(scratch, name), case.device)) for name in names
        }
        for side in sides.values():
            side.wait_until_ready()
        _round(names, sides)
        differences = _gradient_differences(sides, LARGEST_DIFFERENCE[case.precision])
        turns: dict[SideName, list[Turn]] = {name: [] for name in names}
        for number in range(1, repeats + 1):
            taken = _round(names[:: -1 if number % 2 else 1], sides)
            for name, turn in taken.items():
                turns[name].append(turn)
            seconds = ", ".join(f"{name} {seconds_of(case, taken[name]):.3g}" for name in names)
            tell(f"{case.name}  round {number} of {repeats}: {seconds} {unit_of(case)}")
    return StepMeasurement(
        case=case,
        turns={name: tuple(taken) for name, taken in turns.items()},
        gradient_differences=differences,
        floor_operations=floor_operations(case),
        provenance=provenance() | {"trl": version("trl"), "processor": _processor()},
    )


def _round(order: Sequence[SideName], sides: Mapping[SideName, Side]) -> dict[SideName, Turn]:
    return {name: sides[name].take_turn() for name in order}


def _gradient_differences(sides: Mapping[SideName, Side], allowed: float) -> dict[SideName, float]:
    files = {name: side.log.parent / GRADIENT for name, side in sides.items() if name != "matrix"}
    ours = files.pop("gift")
    return {name: check_same_gradient(ours, theirs, name, allowed) for name, theirs in files.items()}


def check_same_gradient(ours: Path, theirs: Path, name: str, allowed: float) -> float:
    """‖ours − theirs‖₂ / ‖theirs‖₂ of the gradients in two files; `name` says whose the second is.

    Raises:
        GiftError: they are not those of one step.
    """
    found = _difference(load_file(ours), load_file(theirs))
    if not found <= allowed:  # nor if it is no number
        raise GiftError(
            f"the gradients of gift and {name} differ by {found:.1e} of their norm, and {allowed:.0e} is "
            "allowed: they do not take the same step, and their times tell nothing"
        )
    return found


def _difference(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> float:
    """Infinite where they have not the same parameters."""
    if ours.keys() != theirs.keys():
        return float("inf")
    apart = sum(float(np.square(ours[name] - theirs[name], dtype=np.float64).sum()) for name in ours)
    whole = sum(float(np.square(values, dtype=np.float64).sum()) for values in theirs.values())
    return float(np.sqrt(apart / whole))


def _processor() -> str:
    """The model's name as Linux has it."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"

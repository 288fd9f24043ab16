"""What became slower between two files of results: ratios to TRL are compared, and never seconds."""

from dataclasses import dataclass

from gift.bench.results import Measurements
from gift.errors import GiftError

TOLERANCE = 0.15


@dataclass(frozen=True)
class CaseVerdict:
    """One case of the old file."""

    line: str
    """For people."""
    slower: bool
    """By more than the tolerance; or it was not measured again, so that nobody knows."""


def compare_measurements(old: Measurements, new: Measurements, tolerance: float = TOLERANCE) -> list[CaseVerdict]:
    """A verdict per case of `old`, in its order.

    Raises:
        GiftError: `old` has no cases, so that nothing could ever be slower.
    """
    if not old.cases:
        raise GiftError("the old results have no cases; measure some with `gift bench step`")
    return [_verdict(name, old, new, tolerance) for name in old.cases]


def _verdict(name: str, old: Measurements, new: Measurements, tolerance: float) -> CaseVerdict:
    if name not in new.cases:
        return CaseVerdict(f"{name}  not measured again", slower=True)
    before, after = old.cases[name].cost("trl"), new.cases[name].cost("trl")
    change = after / before - 1
    slower = change > tolerance
    word = f"slower by more than {tolerance:.0%}" if slower else "ok"
    return CaseVerdict(f"{name}  gift / TRL {before:.3f} → {after:.3f} ({change:+.1%})  {word}", slower)

"""Sections of a report beside what they should be: name by name, whatever the names are."""

import math
from collections.abc import Mapping, Sequence

SHOWN = 3
LONGEST_VALUE = 60
"""Characters of a value that a finding repeats."""
MISSING = object()


def unequal(
    told: Mapping[str, object], found: Mapping[str, object], place: str, source: str, tolerance: float = 1e-9
) -> list[str]:
    """A clause for each name that has not the same value in both.

    Args:
        place: where it is told, as `the report`.
        source: how it was found, as `by the answers`.
        tolerance: of sums in another order, relative and absolute.
    """
    pairs = {name: (told.get(name, MISSING), found.get(name, MISSING)) for name in dict.fromkeys([*told, *found])}
    return [
        f"{name} is {_text(one)} in {place}, and {_text(other)} {source}"
        for name, (one, other) in pairs.items()
        if not _same(one, other, tolerance)
    ]


def some_of(faults: Sequence[str]) -> str:
    """The first few in one line, and how many more there are."""
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return "; ".join(faults[:SHOWN]) + more


def _same(one: object, other: object, tolerance: float) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
    return one == other


def _text(value: object) -> str:
    if value is MISSING:
        return "missing"
    return f"{value:g}" if isinstance(value, float) else f"{value!s:.{LONGEST_VALUE}}"

"""Where the boxes and arrows of a layered picture go: rows from top to bottom, few crossings, straight lines.

The usual way (Sugiyama, Tagawa and Toda 1981): an arrow over several rows gets a waypoint in each row between, then
every row is sorted by the neighbours of its members, then every member moves towards its neighbours.

Left out: a minimum of anything. The same input gives the same picture, and that one is good enough to read.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Arrow = tuple[str, str]
SWEEPS = 24
STRAIGHT = 4
"""How much more a waypoint follows the next one than a box."""


@dataclass(frozen=True)
class Layers:
    """Boxes and waypoints (`row>target`) by row, and the short lines between neighbouring rows."""

    rows: list[list[str]]
    lines: list[Arrow]


def without_detours(arrows: Collection[Arrow]) -> list[Arrow]:
    """The arrows that no longer way implies (the transitive reduction of a graph without circles)."""
    below: dict[str, set[str]] = defaultdict(set)
    for upper, lower in arrows:
        below[upper].add(lower)

    def reaches(start: str, goal: str) -> bool:
        return goal in below[start] or any(reaches(near, goal) for near in sorted(below[start]))

    return [(a, b) for a, b in sorted(arrows) if not any(reaches(c, b) for c in below[a] - {b})]


def stack(names: Sequence[str], arrows: Collection[Arrow], most: int) -> list[list[str]]:
    """Cut the list into rows of at most `most` names, with no arrow between two of a row."""
    rows: list[list[str]] = [[]]
    for name in names:
        if len(rows[-1]) == most or any((upper, name) in arrows for upper in rows[-1]):
            rows.append([])
        rows[-1].append(name)
    return rows


def lay_out(rows: Sequence[Sequence[str]], arrows: Collection[Arrow]) -> Layers:
    """Waypoints, which arrows to the same box share, and an order of every row."""
    row_of = {name: index for index, row in enumerate(rows) for name in row}
    filled = [list(row) for row in rows]
    lines = set()
    for upper, lower in sorted(arrows):
        between = [f"{index}>{lower}" for index in range(row_of[upper] + 1, row_of[lower])]
        for waypoint in between:
            row = filled[int(waypoint.partition(">")[0])]
            if waypoint not in row:
                row.append(waypoint)
        lines |= set(pairwise([upper, *between, lower]))
    return Layers(_with_few_crossings(filled, sorted(lines)), sorted(lines))


def place(layers: Layers, widths: Mapping[str, float], gap: float) -> dict[str, float]:
    """The centre of every box and waypoint, from 0."""
    boxes = sorted({name for row in layers.rows for name in row if ">" not in name})
    straight = [line for line in layers.lines if not {*line} & {*boxes}]
    near = _neighbours([*layers.lines, *straight * STRAIGHT])
    centres = {name: float(index) for row in layers.rows for index, name in enumerate(row)}
    for _ in range(SWEEPS):
        for row in (*layers.rows, *reversed(layers.rows)):
            # the middle draws boxes together: a narrow picture is shown larger
            middle = _mean([centres[name] for name in boxes], 0)
            pull = {name: [middle] if name in boxes else [] for name in row}
            wishes = [_mean([*(centres[other] for other in near[name]), *pull[name]], 0) for name in row]
            steps = [(widths[a] + widths[b]) / 2 + gap for a, b in pairwise(row)]
            centres |= dict(zip(row, _apart(wishes, steps), strict=True))
    left = min(centres[name] - widths[name] / 2 for name in centres)
    return {name: centre - left for name, centre in centres.items()}


def _neighbours(lines: Sequence[Arrow]) -> dict[str, list[str]]:
    near: dict[str, list[str]] = defaultdict(list)
    for upper, lower in lines:
        near[upper].append(lower)
        near[lower].append(upper)
    return near


def _with_few_crossings(rows: list[list[str]], lines: Sequence[Arrow]) -> list[list[str]]:
    near = _neighbours(lines)
    best = rows
    for sweep in range(SWEEPS):
        indices = range(1, len(rows)) if sweep % 2 == 0 else range(len(rows) - 2, -1, -1)
        rows = [list(row) for row in rows]
        for index in indices:
            other = {name: place for place, name in enumerate(rows[index + (-1 if sweep % 2 == 0 else 1)])}
            now = {name: place for place, name in enumerate(rows[index])}
            keys = {name: _mean([other[n] for n in near[name] if n in other], now[name]) for name in now}
            rows[index].sort(key=keys.__getitem__)
        if _crossings(rows, lines) < _crossings(best, lines):
            best = rows
    return best


def _crossings(rows: Sequence[Sequence[str]], lines: Sequence[Arrow]) -> int:
    place = {name: index for row in rows for index, name in enumerate(row)}
    row_of = {name: index for index, row in enumerate(rows) for name in row}
    return sum(
        row_of[a] == row_of[c] and (place[a] - place[c]) * (place[b] - place[d]) < 0 for a, b in lines for c, d in lines
    )


def _apart(wishes: Sequence[float], steps: Sequence[float]) -> list[float]:
    """The places nearest to the wishes (least squares) that keep the order and the steps between neighbours."""
    offsets = [sum(steps[:index]) for index in range(len(wishes))]
    blocks: list[list[float]] = []
    for wish, offset in zip(wishes, offsets, strict=True):  # pool adjacent violators
        blocks.append([wish - offset])
        while len(blocks) > 1 and _mean(blocks[-2], 0) > _mean(blocks[-1], 0):
            last = blocks.pop()
            blocks[-1] += last
    places = [_mean(block, 0) for block in blocks for _ in block]
    return [place + offset for place, offset in zip(places, offsets, strict=True)]


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise

"""Draws docs/figures/house.svg: the rooms of the code from top to bottom, and who imports whom.

    python docs/figures/house.py        (seconds; tests/docs/test_house.py wants the file to be what this makes)

The rooms and their order are in rooms.py, their words are the first lines of their docstrings, the arrows are imports.
An arrow that a longer way implies is left out, and arrows to the same room run together; the number at an arrow's start
is how many lines import. Colours are solid on boxes and grey on arrows, so that it reads on a white and on a dark page.
"""

import ast
import textwrap
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from layers import Arrow, Layers, lay_out, place, stack, without_detours
from rooms import ROOMS, read_modules, read_uses, room_of, uses_between_rooms

FIGURE = Path(__file__).with_suffix(".svg")
ROW = 3
"""Rooms beside each other at most."""
WIDTH, WIDE, WAYPOINT, GAP = 250, 420, 4, 12
MANY = 10
"""A room of more modules than that is drawn wide."""
MARGIN, BETWEEN_ROWS, PADDING, LINE = 10, 54, 10, 15
COLOURS = {"pipelines": "#dbe9fb", "components": "#e4e0f7", "gift": "#fbeed3"}
STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", "Liberation Sans", Arial, sans-serif; fill: #1f2328 }
.name { font-weight: 600; font-size: 14px }
.modules { fill: #57606a; font-size: 11.5px }
.count { fill: #808a94; font-size: 11px }
rect { stroke: #808a94 }
path { stroke: #808a94; stroke-width: 1.3; fill: none }
marker path { fill: #808a94; stroke: none }
"""


@dataclass(frozen=True)
class Box:
    """A room as it is drawn."""

    name: str
    purpose: list[str]
    modules: list[str]
    width: int

    @property
    def height(self) -> int:
        return 2 * PADDING + LINE * (1 + len(self.purpose) + len(self.modules))


def draw() -> str:
    """The picture as SVG; the same code gives the same bytes."""
    modules = read_modules()
    boxes = {room: _box(room, modules) for room in ROOMS}
    counts = uses_between_rooms(read_uses(modules))
    arrows = without_detours(counts)
    layers = lay_out(stack(ROOMS, counts, ROW), arrows)
    widths = defaultdict(lambda: WAYPOINT, {room: box.width for room, box in boxes.items()})
    centres = place(layers, widths, GAP)
    tops, height = _heights(layers, boxes)
    width = max(centres[name] + widths[name] / 2 for row in layers.rows for name in row)
    drawn = [
        *_draw_lines(layers, boxes, centres, tops, {arrow: counts[arrow] for arrow in arrows}),
        *(line for room, box in boxes.items() for line in _draw_box(box, centres[room], tops[room][0])),
    ]
    box = f"{-MARGIN} {-MARGIN} {width + 2 * MARGIN:.0f} {height + 2 * MARGIN:.0f}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">\n<title>The rooms of the code</title>'
    marker = (
        '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z"/></marker>'
    )
    return "\n".join([head, f"<style>{STYLE}</style>", f"<defs>{marker}</defs>", *drawn, "</svg>"]) + "\n"


def _box(room: str, modules: Mapping[str, Path]) -> Box:
    text = ast.get_docstring(ast.parse(modules[room].read_text(encoding="utf-8"))) or ""
    inside = [name.removeprefix(f"{room}.") for name in modules if room_of(name) == room and name != room]
    shown = sorted({name.removesuffix(".component").partition(".")[0] for name in inside} - {"__main__"})
    width = WIDE if len(shown) > MANY else WIDTH
    letters = int((width - 2 * PADDING) / 6.7)
    return Box(
        name=room,
        purpose=textwrap.wrap(text.splitlines()[0].replace("`", ""), letters),
        modules=textwrap.wrap("\u00a0· ".join(shown), letters),
        width=width,
    )


def _heights(layers: Layers, boxes: Mapping[str, Box]) -> tuple[dict[str, tuple[int, int]], int]:
    """Top and bottom of every box and waypoint, and where the last row ends."""
    spans: dict[str, tuple[int, int]] = {}
    top = 0
    for row in layers.rows:
        bottom = top + max(boxes[name].height for name in row if name in boxes)
        spans |= {name: (top, top + boxes[name].height if name in boxes else bottom) for name in row}
        top = bottom + BETWEEN_ROWS
    return spans, top - BETWEEN_ROWS


def _draw_box(box: Box, centre: float, top: int) -> list[str]:
    left = round(centre - box.width / 2)
    colour = COLOURS[box.name.partition(".")[0]]
    texts = [("name", box.name), *(("purpose", text) for text in box.purpose), *(("modules", t) for t in box.modules)]
    return [
        f'<rect x="{left}" y="{top}" width="{box.width}" height="{box.height}" rx="6" fill="{colour}"/>',
        *(
            f'<text class="{kind}" x="{left + PADDING}" y="{top + PADDING + 12 + LINE * index}">{escape(text)}</text>'
            for index, (kind, text) in enumerate(texts)
        ),
    ]


def _draw_lines(
    layers: Layers,
    boxes: Mapping[str, Box],
    centres: Mapping[str, float],
    spans: Mapping[str, tuple[int, int]],
    counts: Mapping[Arrow, int],
) -> list[str]:
    starts = _ports(layers.lines, boxes, centres)
    ends = _ports([(lower, upper) for upper, lower in layers.lines], boxes, centres)
    row_ends = {name: max(spans[n][1] for n in row) for row in layers.rows for name in row}
    drawn = []
    for upper, lower in layers.lines:
        (x1, y1), (x2, y2) = (starts[upper, lower], spans[upper][1]), (ends[lower, upper], spans[lower][0])
        straight = row_ends[upper] + 14  # past taller boxes of its row, and past its own number
        head = ' marker-end="url(#head)"' if lower in boxes else ""
        curve = f"C{x1:.0f} {straight + 24} {x2:.0f} {y2 - 30} {x2:.0f} {y2}"
        drawn.append(f'<path d="M{x1:.0f} {y1}V{straight}{curve}{f"V{spans[lower][1]}" if not head else ""}"{head}/>')
        if upper in boxes:
            count = counts[upper, lower.partition(">")[2] or lower]
            drawn.append(f'<text class="count" x="{x1 + 4:.0f}" y="{y1 + 12}">{count}</text>')
    return drawn


def _ports(lines: list[Arrow], boxes: Mapping[str, Box], centres: Mapping[str, float]) -> dict[Arrow, float]:
    """Where each line meets its first end: spread along the middle of a box, in the order of the other ends."""
    at: dict[str, list[str]] = defaultdict(list)
    for own, other in lines:
        at[own].append(other)
    ports = {}
    for own, others in at.items():
        step = min(34, boxes[own].width / len(others)) if own in boxes else 0
        for index, other in enumerate(sorted(others, key=lambda name: centres[name])):
            ports[own, other] = centres[own] + step * (index - (len(others) - 1) / 2)
    return ports


if __name__ == "__main__":
    FIGURE.write_text(draw(), encoding="utf-8")
    print(FIGURE)

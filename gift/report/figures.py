"""How every chart is drawn: small SVG figures that take their colours and their font from the page.

Each figure is drawn at phone width, so that its text stays readable there; wider pages put several side by side.
Matplotlib gets placeholder colours, which become CSS variables in the SVG: one drawing serves a light page, a dark
page and paper. The same numbers give the same bytes.

Left out: what is drawn (`charts`, `comparison.charts`), and interaction.
"""

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib
import matplotlib.style
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

INK, MUTED, RULE, BASE, SFT, CHAMPION, CANDIDATE = (f"#00000{index}" for index in range(1, 8))
SERIES = tuple(f"#0001{index:02}" for index in range(8))
"""Colours for lines that are compared; a ninth line begins again with the first colour."""

_CSS_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    BASE: "--base",
    SFT: "--sft",
    CHAMPION: "--champion",
    CANDIDATE: "--candidate",
} | {colour: f"--series-{index}" for index, colour in enumerate(SERIES)}

_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.color": RULE,
    "ytick.labelcolor": MUTED,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
}
_WIDTH = 3.7
"""Inches of 72 SVG units. Text of 10 units is 11 px high in the page's narrowest column, 13 px on a phone."""


@contextmanager
def new_figure(height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one pair of axes in the page's style; draw and call `to_svg` inside. `height` is in inches."""
    with matplotlib.style.context(["default", _STYLE]):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        yield figure, figure.subplots()


def ticks(count: int, integer: bool = False) -> MaxNLocator:
    """At most `count` round tick positions."""
    return MaxNLocator(count, steps=[1, 2, 5, 10], integer=integer)


def hide_tick_marks(axes: Axes) -> None:
    """Labels without marks, and the grid behind the data."""
    axes.tick_params(length=0, pad=8)
    axes.set_axisbelow(True)


def draw_steps_axis(axes: Axes, unit: str) -> None:
    """Axes of a training curve: steps to the right, `unit` upwards."""
    axes.margins(x=0.02, y=0.12)
    axes.xaxis.set_major_locator(ticks(5, integer=True))
    axes.yaxis.set_major_locator(ticks(4))
    axes.set_xlabel("step")
    axes.set_ylabel(unit)
    axes.grid(axis="y")
    hide_tick_marks(axes)


def running_mean(values: Sequence[float]) -> list[float]:
    """Mean over 5 % of the steps, centred, without the values that are not finite (NaN where there are none)."""
    reach = len(values) // 40
    means = []
    for centre in range(len(values)):
        window = [value for value in values[max(0, centre - reach) : centre + reach + 1] if not math.isnan(value)]
        means.append(sum(window) / len(window) if window else math.nan)
    return means


def to_svg(figure: Figure, name: str) -> Markup:
    """The figure as an `<svg>` element of a page: no fixed size, CSS colours, ids that no other `name` has."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r"<svg \1>", svg, count=1)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<text style="[^"]*?font-family: )[^;"]*', r"\1inherit", svg)
    for colour, variable in _CSS_VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return Markup(svg)  # noqa: S704 - Matplotlib escapes the texts it writes

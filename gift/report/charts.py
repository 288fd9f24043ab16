"""The report's charts: small SVG figures that take their colours and their font from the page.

Each figure is drawn at phone width, so that its text stays readable there; wider pages put several side by side.
Matplotlib gets placeholder colours, which become CSS variables in the SVG: one drawing serves a light page, a dark
page and paper. The same numbers give the same bytes.

Left out: interaction, and smoothing beyond a running mean that is always drawn over the raw values.
"""

import io
import math
import re
from collections.abc import Mapping, Sequence

import matplotlib
import matplotlib.style
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gift.report.schema import ModelName, Score
from gift.report.wording import MODEL_LABELS, duration, percent

_CSS_VARIABLES = {
    "#000001": "--ink",
    "#000002": "--muted",
    "#000003": "--rule",
    "#000004": "--base",
    "#000005": "--sft",
    "#000006": "--candidate",
}
_INK, _MUTED, _RULE, *_ = _CSS_VARIABLES
_MODEL_COLOURS: dict[ModelName, str] = {"base": "#000004", "sft": "#000005", "candidate": "#000006"}

_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _MUTED,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": _RULE,
    "xtick.labelcolor": _MUTED,
    "ytick.color": _RULE,
    "ytick.labelcolor": _MUTED,
    "grid.color": _RULE,
    "grid.linewidth": 0.6,
}
_WIDTH = 3.7
"""Inches of 72 SVG units. Text of 10 units is 11 px high in the page's narrowest column, 13 px on a phone."""
_Z_95 = 1.96


def accuracy_chart(name: str, scores: Mapping[ModelName, Score]) -> Markup:
    """One benchmark: a dot per model, and the 95 % interval of its accuracy."""
    with matplotlib.style.context(["default", _STYLE]):
        figure, axes = _figure(height=0.62 + 0.34 * len(scores))
        highest = 0.0
        for row, (model, score) in enumerate(scores.items()):
            low = 100 * max(0.0, score.accuracy - _Z_95 * score.stderr)
            high = 100 * min(1.0, score.accuracy + _Z_95 * score.stderr)
            highest = max(highest, high)
            colour = _MODEL_COLOURS[model]
            axes.plot([low, high], [row, row], color=colour, linewidth=2.2, solid_capstyle="round", alpha=0.55)
            axes.plot(100 * score.accuracy, row, "o", color=colour, markersize=7, clip_on=False)
            axes.annotate(
                f"{percent(score.accuracy)} %",
                (high, row),
                xytext=(7, 0),
                textcoords="offset points",
                va="center",
                weight="bold",
            )
        limit = max(1.0, 1.22 * highest)
        axes.set_xticks([tick for tick in _ticks(5).tick_values(0, limit) if tick <= min(limit, 100)])
        axes.set_xlim(0, limit)
        axes.set_ylim(len(scores) - 0.45, -0.55)
        axes.set_yticks(range(len(scores)), [MODEL_LABELS[model] for model in scores], color=_INK)
        axes.set_xlabel("accuracy (%)")
        axes.grid(axis="x")
        _hide_tick_marks(axes)
        return _svg(figure, name)


def curve_chart(name: str, model: ModelName, points: Sequence[tuple[int, float | None]], unit: str) -> Markup:
    """One metric over the training steps: raw values thin, their running mean bold and labelled at its end."""
    steps = [step for step, _ in points]
    values = [math.nan if value is None else value for _, value in points]
    mean = _running_mean(values)
    with matplotlib.style.context(["default", _STYLE]):
        figure, axes = _figure(height=1.9)
        colour = _MODEL_COLOURS[model]
        axes.plot(steps, values, color=colour, linewidth=0.8, alpha=0.4)
        axes.plot(steps, mean, color=colour, linewidth=1.8, solid_joinstyle="round")
        finite = [(step, value) for step, value in zip(steps, mean, strict=True) if not math.isnan(value)]
        if finite:
            axes.plot(*finite[-1], "o", color=colour, markersize=5, clip_on=False)
            axes.annotate(
                f"{finite[-1][1]:.3g}",
                finite[-1],
                xytext=(7, 0),
                textcoords="offset points",
                va="center",
                weight="bold",
                annotation_clip=False,
            )
        axes.margins(x=0.02, y=0.12)
        axes.xaxis.set_major_locator(_ticks(5, integer=True))
        axes.yaxis.set_major_locator(_ticks(4))
        axes.set_xlabel("step")
        axes.set_ylabel(unit)
        axes.grid(axis="y")
        _hide_tick_marks(axes)
        return _svg(figure, name)


def seconds_chart(seconds: Mapping[str, float], reused: Sequence[str]) -> Markup:
    """A bar per stage, in the order in which they ran; stages reused from an earlier run are grey and say so."""
    with matplotlib.style.context(["default", _STYLE]):
        figure, axes = _figure(height=0.3 + 0.29 * len(seconds))
        longest = max(seconds.values(), default=0.0) or 1.0
        for row, (stage, value) in enumerate(seconds.items()):
            was_reused = stage in reused
            axes.barh(row, value, height=0.62, color=_RULE if was_reused else _MODEL_COLOURS["candidate"])
            axes.annotate(
                f"{duration(value)}, reused" if was_reused else duration(value),
                (value, row),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                color=_MUTED if was_reused else _INK,
            )
        axes.set_xlim(0, 1.5 * longest)
        axes.set_ylim(len(seconds) - 0.5, -0.5)
        axes.set_yticks(range(len(seconds)), list(seconds), color=_INK)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        _hide_tick_marks(axes)
        return _svg(figure, "seconds")


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _ticks(count: int, integer: bool = False) -> MaxNLocator:
    return MaxNLocator(count, steps=[1, 2, 5, 10], integer=integer)


def _hide_tick_marks(axes: Axes) -> None:
    axes.tick_params(length=0, pad=8)
    axes.set_axisbelow(True)


def _running_mean(values: Sequence[float]) -> list[float]:
    """Mean over 5 % of the steps, centred, without the values that are not finite (NaN where there are none)."""
    reach = len(values) // 40
    means = []
    for centre in range(len(values)):
        window = [value for value in values[max(0, centre - reach) : centre + reach + 1] if not math.isnan(value)]
        means.append(sum(window) / len(window) if window else math.nan)
    return means


def _svg(figure: Figure, name: str) -> Markup:
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

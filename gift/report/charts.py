"""The charts of the report of one run: accuracy, by the number of samples too, training curves, and time per stage.

Left out: how a chart is drawn (`figures`), and smoothing beyond a running mean, always drawn over the raw values.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from markupsafe import Markup

from gift.report.figures import (
    BASE,
    CANDIDATE,
    CHAMPION,
    INK,
    MUTED,
    RULE,
    SFT,
    draw_steps_axis,
    hide_tick_marks,
    new_figure,
    running_mean,
    ticks,
    to_svg,
)
from gift.report.schema import ModelName, Score
from gift.report.wording import duration, percent

_MODEL_COLOURS: dict[ModelName, str] = {"base": BASE, "sft": SFT, "champion": CHAMPION, "candidate": CANDIDATE}
_CONFIDENCE = 0.95


def accuracy_interval(score: Score) -> tuple[float, float]:
    """The two-sided 95 % interval of an accuracy: Clopper and Pearson's, on as many problems as its error is worth.

    Of right-or-wrong answers these are the `n` problems, and the interval is exact, also for 0 of 30. Of several
    samples per problem they are more, and it is that of Korn and Graubard (1998, Survey Methodology 24).
    """
    from scipy.stats import beta  # takes a second, which a page without this chart need not wait

    spread = score.accuracy * (1 - score.accuracy)
    problems = spread / score.stderr**2 + 1 if spread and score.stderr else score.n
    right, tail = score.accuracy * problems, (1 - _CONFIDENCE) / 2
    low = float(beta.ppf(tail, right, problems - right + 1)) if right > 0 else 0.0
    high = float(beta.ppf(1 - tail, right + 1, problems - right)) if right < problems else 1.0
    return low, high


def accuracy_chart(name: str, scores: Mapping[ModelName, Score], labels: Mapping[ModelName, str]) -> Markup:
    """One benchmark: a dot per model, and the 95 % interval of its accuracy."""
    with new_figure(height=0.62 + 0.34 * len(scores)) as (figure, axes):
        highest = 0.0
        for row, (model, score) in enumerate(scores.items()):
            low, high = (100 * bound for bound in accuracy_interval(score))
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
        axes.set_xticks([tick for tick in ticks(5).tick_values(0, limit) if tick <= min(limit, 100)])
        axes.set_xlim(0, limit)
        axes.set_ylim(len(scores) - 0.45, -0.55)
        axes.set_yticks(range(len(scores)), [labels[model] for model in scores], color=INK)
        axes.set_xlabel("accuracy (%)")
        axes.grid(axis="x")
        hide_tick_marks(axes)
        return to_svg(figure, name)


def samples_chart(name: str, scores: Mapping[ModelName, Score]) -> Markup:
    """One benchmark with k samples per problem: pass@k solid, maj@k dashed, and their mean, avg@k, dotted."""
    with new_figure(height=2.2) as (figure, axes):
        for model, score in scores.items():
            colour, passed = _MODEL_COLOURS[model], at_k(score, "pass")
            axes.plot(*zip(*passed, strict=True), "o-", color=colour, linewidth=1.8, markersize=3.5)
            majority = [(1, 100 * score.accuracy), *at_k(score, "maj")]
            axes.plot(*zip(*majority, strict=True), "--", color=colour, linewidth=1.4)
            axes.axhline(100 * score.accuracy, color=colour, linewidth=1.0, linestyle=":")
        every = sorted({k for score in scores.values() for k, _ in at_k(score, "pass")})
        axes.set_xscale("log", base=2)
        axes.set_xticks(every, [str(k) for k in every])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(ticks(4))
        axes.set_xlabel("k samples")
        axes.set_ylabel("solved (%)")
        axes.grid(axis="y")
        hide_tick_marks(axes)
        return to_svg(figure, name)


def at_k(score: Score, kind: Literal["pass", "maj"]) -> list[tuple[int, float]]:
    """(k, percent) of `pass@k` or `maj@k`, with k rising."""
    found = {name: value for name, value in score.metrics.items() if re.fullmatch(rf"{kind}@\d+", name)}
    return sorted((int(name.partition("@")[2]), 100 * value) for name, value in found.items())


def curve_chart(name: str, model: ModelName, points: Sequence[tuple[int, float | None]], unit: str) -> Markup:
    """One metric over the training steps: raw values thin, their running mean bold and labelled at its end."""
    steps = [step for step, _ in points]
    values = [math.nan if value is None else value for _, value in points]
    mean = running_mean(values)
    with new_figure(height=1.9) as (figure, axes):
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
        draw_steps_axis(axes, unit)
        return to_svg(figure, name)


def seconds_chart(seconds: Mapping[str, float], reused: Sequence[str]) -> Markup:
    """A bar per stage, in the order in which they ran; stages reused from an earlier run are grey and say so."""
    with new_figure(height=0.3 + 0.29 * len(seconds)) as (figure, axes):
        longest = max(seconds.values(), default=0.0) or 1.0
        for row, (stage, value) in enumerate(seconds.items()):
            was_reused = stage in reused
            axes.barh(row, value, height=0.62, color=RULE if was_reused else CANDIDATE)
            axes.annotate(
                f"{duration(value)}, reused" if was_reused else duration(value),
                (value, row),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                color=MUTED if was_reused else INK,
            )
        axes.set_xlim(0, 1.5 * longest)
        axes.set_ylim(len(seconds) - 0.5, -0.5)
        axes.set_yticks(range(len(seconds)), list(seconds), color=INK)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        hide_tick_marks(axes)
        return to_svg(figure, "seconds")

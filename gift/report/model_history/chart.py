"""One benchmark over time: a dot with its interval per version, and a step for each champion as long as it reigned.

Left out: how a chart is drawn (`gift.report.figures`).
"""

from datetime import UTC, datetime, timedelta

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

from gift.report.charts import accuracy_interval
from gift.report.figures import CANDIDATE, INK, MUTED, hide_tick_marks, new_figure, ticks, to_svg
from gift.report.model_history.schema import ListedVersion, ModelHistory

SHORTEST = timedelta(minutes=1)
"""What the horizontal axis shows at least."""
MARGIN = 0.05
"""Share of the time that is left free on each side, for the dots."""


def history_chart(history: ModelHistory, benchmark: str) -> Markup:
    """Accuracy in %, with 95 % intervals. Filled: was champion; hollow: never; pale: not comparable with the newest."""
    shown = [version for version in history.versions if benchmark in version.scores]
    with new_figure(height=2.4) as (figure, axes):
        for version in shown:
            _draw_version(axes, history, version, benchmark)
            _draw_reigns(axes, history, version, benchmark)
        _draw_time(axes, history)
        axes.set_ylim(0, None)
        axes.yaxis.set_major_locator(ticks(5))
        axes.set_ylabel("accuracy (%)")
        axes.grid(axis="y")
        hide_tick_marks(axes)
        return to_svg(figure, f"history/{benchmark}")


def _draw_version(axes: Axes, history: ModelHistory, version: ListedVersion, benchmark: str) -> None:
    score, at = version.scores[benchmark].score, _place(version.registered)
    was_champion = bool(history.reigns_of(version.version)) or version.version == history.reigning
    colour, strength = CANDIDATE if was_champion else MUTED, 1.0 if history.compares(version, benchmark) else 0.35
    low, high = (100 * bound for bound in accuracy_interval(score))
    axes.plot([at, at], [low, high], color=colour, linewidth=1.6, solid_capstyle="round", alpha=0.55 * strength)
    axes.plot(
        at,
        100 * score.accuracy,
        "o",
        color=colour,
        fillstyle="full" if was_champion else "none",
        markersize=6,
        alpha=strength,
    )
    if was_champion:
        reigns = version.version == history.reigning
        axes.annotate(
            version.version,
            (at, high),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            weight="bold" if reigns else "normal",
            color=INK if reigns else MUTED,
        )


def _draw_reigns(axes: Axes, history: ModelHistory, version: ListedVersion, benchmark: str) -> None:
    accuracy = 100 * version.scores[benchmark].score.accuracy
    for reign in history.reigns_of(version.version):
        span = [_place(reign.since), _place(reign.until or history.at)]
        axes.plot(span, [accuracy, accuracy], color=CANDIDATE, linewidth=1.2, alpha=0.8)


def _draw_time(axes: Axes, history: ModelHistory) -> None:
    """From the first version to now; matplotlib knows days."""
    first = min(version.registered for version in history.versions)
    shown = max(history.at - first, SHORTEST) / timedelta(days=1)
    end = _place(first) + shown
    axes.set_xlim(_place(first) - MARGIN * shown, end + MARGIN * shown)
    locator = AutoDateLocator(minticks=3, maxticks=5, tz=UTC)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
    axes.set_xlabel("registered (UTC)")


def _place(at: datetime) -> float:
    return float(date2num(at))

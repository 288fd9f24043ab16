"""`comparison.html`: one self-contained file, without scripts or anything from the network, like the report of a run.

Left out: anything that needs JavaScript.
"""

import json
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from markupsafe import Markup

from gift.report.comparison import table, wording
from gift.report.comparison.charts import curves_chart, estimates_chart, line_style
from gift.report.comparison.schema import Comparison
from gift.report.figures import SERIES
from gift.report.pages import page_template
from gift.report.wording import benchmark_label

TEMPLATE = "comparison.html.jinja"


@dataclass(frozen=True)
class Chart:
    """A figure and the text above it."""

    title: str
    meaning: str
    drawing: Markup


def render_comparison(comparison: Comparison) -> str:
    """The comparison as one HTML page; the same comparison gives the same bytes."""
    return page_template(TEMPLATE, Path(__file__).parent).render(
        comparison=comparison,
        plan=comparison.plan,
        headline=wording.headline(comparison),
        finished=comparison.finished.astimezone(UTC).strftime("%d %b %Y, %H:%M UTC"),
        results_title=table.results_title(comparison),
        notes=table.NOTES,
        training_note=table.TRAINING_NOTE,
        tuning_note=table.tuning_note(comparison) if comparison.plan.tuning_seed is not None else None,
        results=table.results_rows(comparison),
        training=table.training_rows(comparison),
        course_note=table.COURSE_NOTE,
        course=table.course_rows(comparison),
        length_note=table.LENGTH_NOTE,
        lengths=table.length_rows(comparison),
        grid=table.grid_rows(comparison),
        seeds=table.seed_rows(comparison),
        legend=[_legend_entry(place, variant.label) for place, variant in enumerate(comparison.plan.variants)],
        accuracy_charts=[_accuracy_chart(comparison, task) for task in comparison.benchmarks],
        curve_charts=_curve_charts(comparison),
        with_bands=_with_bands(comparison),
        config_json=json.dumps(comparison.config, indent=2, ensure_ascii=False),
    )


def _legend_entry(place: int, label: str) -> tuple[int, str]:
    """Number of the colour, and the label with the kind of line where it is not solid."""
    return place % len(SERIES), label + {"-": "", "--": " (dashed)", ":": " (dotted)"}[line_style(place)]


def _accuracy_chart(comparison: Comparison, task: str) -> Chart:
    labels = wording.variant_labels(comparison)
    drawing = estimates_chart(
        f"accuracy/{task}",
        (table.START_LABEL, comparison.start[task]),
        {labels[name]: result.scores[task] for name, result in comparison.variants.items()},
    )
    return Chart(benchmark_label(task), "Mean over seeds, its 95 % interval, and every seed as a small dot.", drawing)


def _curve_charts(comparison: Comparison) -> list[Chart]:
    charts = []
    for metric in comparison.plan.metrics:
        curves = [
            (place, result.curves[metric])
            for place, result in enumerate(comparison.variants.values())
            if metric in result.curves
        ]
        if curves:
            unit = wording.METRIC_UNITS.get(metric, "")
            drawing = curves_chart(f"curve/{metric}", curves, unit, with_bands=_with_bands(comparison))
            charts.append(Chart(wording.metric_label(metric), "", drawing))
    return charts


def _with_bands(comparison: Comparison) -> bool:
    """Student's t with one degree of freedom makes bands of 13 standard errors; two of freedom, of 4."""
    return len(comparison.plan.seeds) > 2

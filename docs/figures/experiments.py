"""Draws a figure of every experiment in docs/results/experiments: accuracy by variant with every seed, as on its page.

    python docs/figures/experiments.py [FOLDER]        (seconds)

`<name>.svg` lies in FOLDER, or beside the experiment's `<name>.json`. It takes the page's colours, by day and by night.
Left out: the other charts of an experiment's page.
"""

import re
import sys
from pathlib import Path

import gift.report
from gift.report.comparison.charts import estimates_chart
from gift.report.comparison.schema import Comparison, load_comparison
from gift.report.comparison.table import START_LABEL
from gift.report.comparison.wording import variant_labels

EXPERIMENTS = Path(__file__).parents[1] / "results/experiments"
STYLES = ("report.css.jinja", "comparison/series.css.jinja")
"""Where the page's colours are, in the room of the report."""
WIDTH = 520
"""In CSS pixels."""


def draw_figures(experiments: Path, folder: Path) -> list[Path]:
    """Write the figures of all experiments into an existing folder; returns their paths."""
    drawn = []
    for file in sorted(experiments.glob("*.json")):
        path = folder / f"{file.stem}.svg"
        path.write_text(draw(load_comparison(file)), encoding="utf-8")
        drawn.append(path)
    return drawn


def draw(comparison: Comparison) -> str:
    """An SVG file that stands by itself."""
    labels, task = variant_labels(comparison), comparison.plan.benchmark
    scores = {labels[name]: result.scores[task] for name, result in comparison.variants.items()}
    chart = str(estimates_chart(comparison.plan.name, (START_LABEL, comparison.start[task]), scores))
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return chart.replace("<svg ", f'<svg {names} width="{WIDTH}" ', 1).replace(">", f">\n{_style(chart)}", 1) + "\n"


def _style(chart: str) -> str:
    """The page's colours that the chart names: those of the day, and those of the night."""
    sheets = [(Path(gift.report.__file__).parent / name).read_text(encoding="utf-8") for name in STYLES]
    blocks = [re.findall(r":root \{([^}]*)\}", sheet) for sheet in sheets]
    day, night = (
        " ".join(
            f"{name}: {value};"
            for found in blocks
            for name, value in re.findall(r"(--[\w-]+): (#\w+)", found[time])
            if f"var({name})" in chart
        )
        for time in range(2)
    )
    font = "font-family: system-ui, sans-serif;"
    return f"<style>\nsvg {{ {day} {font} }}\n@media (prefers-color-scheme: dark) {{ svg {{ {night} }} }}\n</style>"


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    for figure in draw_figures(EXPERIMENTS, Path(sys.argv[1]) if len(sys.argv) == 2 else EXPERIMENTS):
        print(figure)

"""Draws docs/figures/dag.svg: the pipeline as it was compiled for a cluster, with what each stage asks of it.

    gift compile --profile NAME --image REF@sha256:… --output pipeline.yaml
    python docs/figures/dag.py pipeline.yaml    (a second)

An arrow is a dependency in the file; one that a longer way implies is left out. Colours are solid on boxes and grey on
arrows, so that it reads on a white and on a dark page. Left out: what travels along the arrows, and retries.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import yaml
from house import COLOURS, LINE, MARGIN, PADDING, STYLE
from layers import Arrow, lay_out, place, stack, without_detours

FIGURE = Path(__file__).with_suffix(".svg")
WIDTH, HEIGHT = 190, 2 * PADDING + 2 * LINE
"""Of a box."""
ROW, GAP, BETWEEN_ROWS, WAYPOINT = 3, 24, 26, 4
Tasks = Mapping[str, Mapping[str, Any]]


def draw_dag(compiled: Path) -> str:
    """The picture of a file that `gift compile` wrote, as SVG; the same file gives the same bytes."""
    pipeline = next(iter(yaml.safe_load_all(compiled.read_text(encoding="utf-8"))))
    tasks = _tasks(pipeline)
    needed = {(needs, task) for task, spec in tasks.items() for needs in spec.get("dependentTasks", ())}
    arrows = without_detours(needed)
    layers = lay_out(stack(_in_order(tasks), needed, ROW), arrows)
    widths = defaultdict(lambda: WAYPOINT, dict.fromkeys(tasks, WIDTH))
    centres = place(layers, widths, GAP)
    tops = {name: row * (HEIGHT + BETWEEN_ROWS) for row, names in enumerate(layers.rows) for name in names}
    size = max(centres[name] + widths[name] / 2 for name in centres), max(tops.values()) + HEIGHT
    lines = [_draw_line(line, centres, tops, tasks) for line in layers.lines]
    boxes = [
        _draw_box(spec["taskInfo"]["name"], _asks(pipeline, spec), round(centres[task] - WIDTH / 2), tops[task])
        for task, spec in tasks.items()
    ]
    return "\n".join([*_head(*size), *lines, *boxes, "</svg>"]) + "\n"


def _tasks(pipeline: Mapping[str, Any]) -> Tasks:
    """Those in the exit handler, and the one that runs when it is over."""
    outer = pipeline["root"]["dag"]["tasks"]
    (handler,) = (name for name in outer if name.startswith("exit-handler"))
    inner: Tasks = pipeline["components"][outer[handler]["componentRef"]["name"]]["dag"]["tasks"]
    last = {name: {**spec, "dependentTasks": list(inner)} for name, spec in outer.items() if name != handler}
    return {**inner, **last}


def _in_order(tasks: Tasks) -> list[str]:
    """After all that they need."""
    ordered: list[str] = []
    while len(ordered) < len(tasks):
        ordered += [
            name for name in tasks if name not in ordered and {*tasks[name].get("dependentTasks", ())} <= {*ordered}
        ]
    return ordered


def _asks(pipeline: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """`8 CPUs, 48 GiB, 1 GPU`."""
    component = pipeline["components"][spec["componentRef"]["name"]]
    asked = pipeline["deploymentSpec"]["executors"][component["executorLabel"]]["container"]["resources"]
    cpus, gib = float(asked["resourceCpuLimit"]), int(asked["resourceMemoryLimit"].removesuffix("Mi")) / 1024
    gpus = int(asked.get("accelerator", {}).get("resourceCount", 0))
    parts = [f"{cpus:g} CPU{'s' * (cpus != 1)}", f"{gib:g} GiB", *([f"{gpus} GPU{'s' * (gpus > 1)}"] if gpus else [])]
    return ", ".join(parts)


def _head(width: float, height: float) -> list[str]:
    box = f"{-MARGIN} {-MARGIN} {width + 2 * MARGIN:.0f} {height + 2 * MARGIN:.0f}"
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="{width + 2 * MARGIN:.0f}">',
        f"<title>The compiled pipeline</title><style>{STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z"/></marker></defs>',
    ]


def _draw_box(name: str, asks: str, left: int, top: int) -> str:
    x, y = left + PADDING, top + PADDING + 12
    return (
        f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{COLOURS["components"]}"/>'
        f'<text class="name" x="{x}" y="{y}">{escape(name)}</text><text x="{x}" y="{y + LINE}">{escape(asks)}</text>'
    )


def _draw_line(line: Arrow, centres: Mapping[str, float], tops: Mapping[str, int], tasks: Tasks) -> str:
    upper, lower = line
    (x1, y1), (x2, y2) = (centres[upper], tops[upper] + HEIGHT), (centres[lower], tops[lower])
    head = ' marker-end="url(#head)"' if lower in tasks else ""
    through = "" if head else f"V{y2 + HEIGHT}"
    bend = (y2 - y1) / 2
    return f'<path d="M{x1:.0f} {y1}C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2}{through}"{head}/>'


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    FIGURE.write_text(draw_dag(Path(sys.argv[1])), encoding="utf-8")
    print(FIGURE)

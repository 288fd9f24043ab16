"""docs/figures/dag.svg is what a cluster is given now: every task, what it asks for, and no arrow up."""

import re
from pathlib import Path
from xml.etree import ElementTree

from dag import FIGURE, draw_dag

GOLDEN = Path(__file__).parents[1] / "pipelines/kubeflow/golden"
SHOWN = GOLDEN / "smollm2-gsm8k.yaml"
SVG = "{http://www.w3.org/2000/svg}"


def _texts(svg: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_the_picture_is_that_of_the_compiled_pipeline() -> None:
    kept = FIGURE.read_text(encoding="utf-8")
    assert kept == draw_dag(SHOWN), f"run: python docs/figures/dag.py {SHOWN}"
    lines = [path.get("d", "") for path in ElementTree.fromstring(kept).findall(f"{SVG}path")]
    for line in lines:  # M x y C x y x y x y
        heights = [float(y) for y in re.findall(r"-?\d+ (-?\d+)", line)]
        assert heights == sorted(heights), line


def test_every_stage_is_there_with_what_it_asks_for() -> None:
    texts = _texts(draw_dag(GOLDEN / "qwen2.5-7b-math.yaml"))
    asked = dict(zip(texts[::2], texts[1::2], strict=True))
    assert asked["train-policy"] == "96 CPUs, 320 GiB, 8 GPUs"
    assert asked["evaluate-champion"] == "8 CPUs, 48 GiB, 1 GPU"
    assert {"start-run", "gate", "register", "report", "finish-run"} <= asked.keys()
    assert len(asked) == 15

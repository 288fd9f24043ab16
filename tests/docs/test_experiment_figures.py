"""The figures in docs/results/experiments are those of the results beside them, and stand by themselves."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from experiments import EXPERIMENTS, draw, draw_figures

from gift.report.comparison.schema import load_comparison
from gift.report.comparison.wording import variant_labels
from gift.report.wording import percent

TEXT = "{http://www.w3.org/2000/svg}text"
FILES = sorted(EXPERIMENTS.glob("*.json"))


def _texts(svg: str) -> list[str | None]:
    return [text.text for text in ElementTree.fromstring(svg).iter(TEXT)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_figure_of_an_experiment_is_that_of_its_results(file: Path) -> None:
    kept = file.with_suffix(".svg").read_text(encoding="utf-8")
    comparison = load_comparison(file)
    assert _texts(kept) == _texts(draw(comparison)), "run: python docs/figures/experiments.py"
    for name, label in variant_labels(comparison).items():
        assert label in _texts(kept)
        assert f"{percent(comparison.variants[name].scores[comparison.plan.benchmark].mean or 0.0)} %" in _texts(kept)


def test_a_figure_has_the_colours_of_day_and_night_that_it_uses(tmp_path: Path) -> None:
    drawn = draw_figures(EXPERIMENTS, tmp_path)
    assert [path.stem for path in drawn] == [file.stem for file in FILES]
    svg = drawn[0].read_text(encoding="utf-8")
    day, _, night = svg.partition("prefers-color-scheme: dark")
    for name in ("--ink", "--muted", "--series-0"):
        assert f"var({name})" in svg
        assert f"{name}: #" in day
        assert f"{name}: #" in night

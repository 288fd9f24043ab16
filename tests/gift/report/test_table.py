"""The small tables carry the same numbers as the report."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gift.report.schema import parse_report
from gift.report.table import markdown_table, results_table

EXAMPLE = Path(__file__).with_name("report.json")


@pytest.fixture
def values() -> dict[str, Any]:
    return json.loads(EXAMPLE.read_text(encoding="utf-8"))


def terminal_lines(values: dict[str, Any]) -> list[str]:
    console = Console(width=140, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(results_table(parse_report(values)))
    return capture.get().splitlines()


def test_the_terminal_shows_every_model_and_the_gain(values: dict[str, Any]):
    lines = terminal_lines(values)
    rows = {line.strip("│ ").split("│")[0].strip(): line for line in lines if line.startswith("│")}
    assert list(rows) == ["Base", "SFT", "GIFT", "GIFT − SFT, points"]
    assert "55.2 ± 2.2 %" in rows["SFT"]
    assert "84.6 ± 1.6 %" in rows["GIFT"]
    assert "+29.4 (+24.9 to +33.9)" in rows["GIFT − SFT, points"]
    assert "−0.5" in rows["GIFT − SFT, points"]


def test_a_champion_that_was_evaluated_has_a_row(values: dict[str, Any]):
    assert "Champion" not in markdown_table(parse_report(values))
    values["models"]["champion"] = values["models"]["sft"]
    lines = markdown_table(parse_report(values)).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        "Base",
        "SFT",
        "Champion",
        "GIFT",
        "GIFT − SFT, points",
    ]
    assert lines[4] == lines[3].replace("SFT", "Champion")


def test_the_candidate_is_called_by_its_algorithm(values: dict[str, Any]):
    values["config"]["algorithm"] = "grpo"
    assert "| GRPO − SFT, points |" in markdown_table(parse_report(values))
    del values["config"]["algorithm"]  # a report older than the key
    assert "| GIFT − SFT, points |" in markdown_table(parse_report(values))


def test_a_missing_score_is_a_dash_and_different_counts_are_shown(values: dict[str, Any]):
    del values["models"]["base"]["gsm8k"]
    values["models"]["sft"]["gsm8k"]["n"] = 100
    base = next(line for line in terminal_lines(values) if "Base" in line)
    assert base.rstrip("│ ").endswith("–")
    assert "GSM8K (n = 100 / 200)" in markdown_table(parse_report(values))


def test_names_are_never_read_as_markup(values: dict[str, Any]):
    for scores in values["models"].values():
        scores["[red]odd|name[/red]<b>"] = scores.pop("gsm8k")
    assert any("[red]odd|name[/red]<b>" in line for line in terminal_lines(values))
    assert "[red]odd\\|name[/red]&lt;b>" in markdown_table(parse_report(values))


def test_the_markdown_table_is_the_one_in_the_readme(values: dict[str, Any]):
    for scores in values["models"].values():
        del scores["heldout_sampled"]
    assert markdown_table(parse_report(values)) == (
        "|  | Held-out, greedy (n = 500) | GSM8K (n = 200) |\n"
        "| --- | ---: | ---: |\n"
        "| Base | 0.4 ± 0.3 % | 4.5 ± 1.5 % |\n"
        "| SFT | 55.2 ± 2.2 % | 5.5 ± 1.6 % |\n"
        "| GIFT | 84.6 ± 1.6 % | 5.0 ± 1.5 % |\n"
        "| GIFT − SFT, points | +29.4 (+24.9 to +33.9) | −0.5 |\n"
    )


def test_a_difference_that_rounds_to_nothing_has_no_sign(values: dict[str, Any]):
    values["models"]["candidate"]["gsm8k"]["accuracy"] = values["models"]["sft"]["gsm8k"]["accuracy"] - 0.0001
    assert markdown_table(parse_report(values)).splitlines()[-1].endswith("| 0.0 |")

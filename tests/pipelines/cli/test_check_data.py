"""`gift check data`: a file of data alone, in a few lines or with its first fault in one."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelines.cli.main import app


def _check(path: Path, *rows: dict[str, Any]) -> tuple[int, str]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = CliRunner().invoke(app, ["check", "data", str(path)])
    return result.exit_code, result.output


def test_a_file_is_described_with_what_can_be_earned_from_it(tmp_path: Path) -> None:
    rows = [{"id": f"[b]{i}", "question": f"{i}?", "answer": f"so\n#### {i}"} for i in range(3)]
    half = {"id": "[b]half", "question": "Half?", "final_answer": "1/2"}
    status, output = _check(tmp_path / "mine.jsonl", *rows, half, half)
    assert status == 0
    assert "5 problems; 1 repeat a question, and 1 an id\n3 worked answers, 5 final answers\n" in output
    assert "2 final answers can't be earned with a number after ####" in output
    assert "the first is '1/2' of problem [b]half\n" in output
    assert "every final answer can be earned with what is in \\boxed{}" in output


def test_scored_responses_are_read_as_such(tmp_path: Path) -> None:
    status, output = _check(tmp_path / "mine.jsonl", {"question": "?", "chosen": "a", "rejected": "b"})
    assert (status, output.splitlines()[0][:32]) == (0, "1 questions with scored response")


@pytest.mark.parametrize("row", [{"messages": []}, {"question": "\ud800", "final_answer": 1}, {"question": "?"}])
def test_a_fault_is_one_line_and_status_1(tmp_path: Path, row: dict[str, Any]) -> None:
    status, output = _check(tmp_path / "mine.jsonl", {"question": "?", "final_answer": 1}, row)
    assert status == 1
    assert output.startswith(f"error: {tmp_path}/mine.jsonl, line 2: ")
    assert output.count("\n") == 1


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check", "data", str(tmp_path / "none.jsonl")])
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "none.jsonl does not exist" in result.output

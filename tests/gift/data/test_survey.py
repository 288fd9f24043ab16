"""What one file holds is counted without a profile."""

import json
from pathlib import Path
from typing import Any

import pytest

from gift.data.survey import survey_file
from gift.errors import GiftError


def _file(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_problems_are_counted_and_measured(tmp_path: Path) -> None:
    found = survey_file(
        _file(
            tmp_path,
            {"id": 1, "question": "One?", "answer": "It is\n#### 1"},
            {"id": 1, "question": " one ?", "final_answer": 1},
            {"question": "Longer?", "answer": "Who knows", "final_answer": ""},
        )
    )
    assert (found.rows, found.scored, found.worked_answers, found.final_answers) == (3, False, 2, 2)
    assert (found.repeated_questions, found.repeated_ids) == (1, 1)
    assert (found.longest_question, found.longest_answer) == (len("Longer?"), len("It is\n#### 1"))
    assert list(found.unearnable.values()) == [[], [], []]


def test_each_format_names_the_answers_that_it_can_not_carry(tmp_path: Path) -> None:
    rows = [{"id": answer, "question": f"{answer}?", "final_answer": answer} for answer in ("1", "1/2", "x}", "yes")]
    lost = {reads: [row.id for row in rows] for reads, rows in survey_file(_file(tmp_path, *rows)).unearnable.items()}
    assert [ids for reads, ids in lost.items() if "####" in reads] == [["1/2", "x}", "yes"]]
    assert [ids for reads, ids in lost.items() if "boxed" in reads] == [["x}"]]
    assert [ids for reads, ids in lost.items() if "Answer:" in reads] == [[]]


@pytest.mark.parametrize(
    "row", [{"responses": ["a", "longest"], "scores": [0, 1]}, {"chosen": "longest", "rejected": "no"}]
)
def test_rows_with_responses_are_scored_data(tmp_path: Path, row: dict[str, Any]) -> None:
    found = survey_file(_file(tmp_path, {"question": "One?", **row}))
    assert (found.rows, found.scored, found.longest_answer, found.final_answers) == (1, True, 7, 0)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no problems"),
        ([{"question": "?", "answer": "1"}], "line 1: the answer does not end in"),
        ([{"question": "?", "chosen": "a", "rejected": "b"}, {"question": "?"}], "line 2: a row needs responses"),
        (
            [{"id": "a", "question": "\frac12?", "final_answer": 1}],
            r"problem a has the control character '\x0c' before",
        ),
    ],
)
def test_a_fault_is_named(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(GiftError) as refusal:
        survey_file(_file(tmp_path, *rows))
    assert message in str(refusal.value)

"""Scored responses: both forms of a row are read, and a row that is neither is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from gift.data.scored import ScoredProblem, read_scored, write_scored
from gift.errors import GiftError

ROW = {"question": "1 + 1?", "responses": ["2", "3"], "scores": [1, 0.5]}


def _write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_round_trip(tmp_path: Path) -> None:
    rows = [ScoredProblem("a", "1 + 1?", "", "2", ("2", "3", ""), (1.0, 0.0, -2.5))]
    write_scored(tmp_path / "scored.jsonl", rows)
    assert read_scored(tmp_path / "scored.jsonl") == rows


def test_groups_and_pairs_are_read(tmp_path: Path) -> None:
    pair = {"id": "p", "question": "Why?", "chosen": "Because.", "rejected": "No."}
    group, read_pair = read_scored(_write(tmp_path / "s.jsonl", ROW, pair))
    assert (group.id, group.responses, group.scores) == ("s/0", ("2", "3"), (1.0, 0.5))
    assert (read_pair.id, read_pair.responses, read_pair.scores) == ("p", ("Because.", "No."), (1.0, 0.0))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": ""}, "line 2: the row has no question"),
        ({"question": "?"}, "line 2: a row needs responses and scores"),
        (ROW | {"scores": [1]}, "line 2: 2 responses and 1 scores"),
        (ROW | {"responses": ["2"], "scores": [1]}, "line 2: 1 responses and 1 scores"),
        (ROW | {"responses": ["2", 3]}, "line 2: a response must be text, not 3"),
        (ROW | {"scores": [1, float("nan")]}, "line 2: a score must be a finite number, not nan"),
        (ROW | {"scores": [1, True]}, "line 2: a score must be a finite number, not True"),
        (ROW | {"scores": [1, "high"]}, "line 2: a score must be a finite number, not 'high'"),
        (ROW | {"scores": [1, 10**400]}, "line 2: a score must be a finite number, not 1000"),
        (ROW | {"scores": [1, None]}, "line 2: a score must be a finite number, not null"),
        (ROW | {"responses": ["2", ["3"]]}, "line 2: a response must be text, not a list"),
        (ROW | {"responses": ["2", "\ud800"]}, "line 2: the row has half a character"),
        (ROW | {"id": []}, "line 2: the id must be one line of text or a number, not a list"),
        (ROW | {"final_answer": 0.5}, "line 2: the row has no final_answer that is text, but 0.5"),
        ({"prompt": "?", "chosen": "yes", "rejected": "no"}, "its keys are 'prompt, chosen, rejected'"),
        ({"question": "?", "chosen": [{"role": "user"}], "rejected": "no"}, "no chosen that is text, but a list"),
        ({"question": "?", "chosen": "yes", "rejected": ""}, "line 2: a pair needs a non-empty chosen"),
        ([1], "line 2: a row must be a JSON object"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(GiftError) as refusal:
        read_scored(_write(tmp_path / "s.jsonl", ROW, row))
    assert message in str(refusal.value)


def test_a_whole_number_is_a_final_answer_here_too(tmp_path: Path) -> None:
    assert read_scored(_write(tmp_path / "s.jsonl", ROW | {"final_answer": 2, "id": 7}))[0].final_answer == "2"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GiftError, match="holds no scored problems"):
        read_scored(_write(tmp_path / "s.jsonl"))

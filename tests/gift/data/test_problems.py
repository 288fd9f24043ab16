"""Reading problems: whatever is wrong with a file is named with its line."""

import gzip
import json
from pathlib import Path

import pytest

from gift.data.problems import Problem, read_problems, write_problems
from gift.errors import GiftError

ROW = {"question": "1 + 1?", "answer": "1 + 1 = 2\n#### 2"}


def test_round_trip(tmp_path: Path) -> None:
    problems = [Problem("a", "1 + 1?", "1 + 1 = 2\n#### 2", "2"), Problem("b", "Ünïcode?", "x\n#### -3", "-3")]
    write_problems(tmp_path / "p.jsonl", problems)
    assert read_problems(tmp_path / "p.jsonl") == problems
    assert read_problems(tmp_path / "p.jsonl", limit=1) == problems[:1]


def test_gzip_and_rows_without_id(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "p.jsonl.gz", "wt") as file:
        file.write(json.dumps(ROW | {"answer": "much\n#### 1,234"}) + "\n")
    assert read_problems(tmp_path / "p.jsonl.gz")[0].final_answer == "1234"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no problems"),
        ("\n\n", "holds no problems"),
        (json.dumps(ROW) + "\n{", "line 2: not JSON"),
        (json.dumps({"question": "?"}), "line 1: the row has no answer"),
        (json.dumps(ROW | {"answer": ""}), "line 1: the row has no answer"),
        (json.dumps(ROW | {"question": 3}), "line 1: the row has no question"),
        (json.dumps(ROW | {"answer": "just 2"}), "line 1: the answer does not end in '#### <final answer>'"),
        (json.dumps([1]), "line 1: a row must be a JSON object"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    with pytest.raises(GiftError) as refusal:
        read_problems(path)
    assert message in str(refusal.value)


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GiftError, match="does not exist"):
        read_problems(tmp_path / "none.jsonl")
    (tmp_path / "not.jsonl.gz").write_bytes(b"plain")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\x00")
    for name in ("not.jsonl.gz", "bytes.jsonl"):
        with pytest.raises(GiftError, match="can't be read"):
            read_problems(tmp_path / name)

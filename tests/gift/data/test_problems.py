"""Reading problems: whatever is wrong with a file is named with its line."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gift.data.problems import Problem, read_problems, read_rows, write_problems
from gift.errors import GiftError

ROW = {"question": "1 + 1?", "answer": "1 + 1 = 2\n#### 2"}


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(70):
            file.write(b'{"question": "q"}' + b" " * 2**20 + b"\n")
    with pytest.raises(GiftError, match="unpacks to over 200 times its size"):
        for _ in read_rows(path):
            pass


def test_a_line_without_an_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(GiftError, match="has a line of more than 16,777,216 bytes"):
        next(read_rows(path))


def test_a_repeated_key_among_many_is_found_at_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    keys = ", ".join(f'"{number}": 0' for number in (*range(50_000), 49_999))
    path.write_text(f"{{{keys}}}\n")
    with pytest.raises(GiftError, match="the key '49999' twice"):
        next(read_rows(path))


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
    ("stated", "final_answer"),
    [("(1,2)", "(1,2)"), ("0,1", "0,1"), ("[0,5]", "[0,5]"), ("12,34", "12,34"), ("-1,234,567.50", "-1234567.50")],
)
def test_only_thousands_commas_are_left_out_of_a_final_answer(tmp_path: Path, stated: str, final_answer: str) -> None:
    (tmp_path / "p.jsonl").write_text(json.dumps(ROW | {"answer": f"so\n#### {stated}"}))
    assert read_problems(tmp_path / "p.jsonl")[0].final_answer == final_answer


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


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (r'{"question": "a \ud800 b", "answer": "#### 1"}', "half a character"),
        (r'{"question": "?", "answer": "#### 1", "id": "\uDFFF"}', "half a character"),
        (r'{"question": "?", "answer": "#### 1", "\udc00": [[1]]}', "half a character"),
        ('{"question": "?", "answer": "#### 1", "id": ' + "9" * 5000 + "}", "more than 4300 digits"),
        ('{"question": "?", "final_answer": ' + "9" * 5000 + "}", "more than 4300 digits"),
        ('{"question": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ('{"question": ' + "[" * 800 + "]" * 800 + "}", "no question that is text, but a list"),
        ("[" * 100_000, "nested too deeply"),
        ('{"question": NaN, "answer": "#### 1"}', "no question that is text, but nan"),
        ('{"question": "?", "final_answer": 0.5}', "no final_answer that is text, but 0.5; write it as text"),
        ('{"question": "?", "final_answer": Infinity}', "no final_answer that is text, but inf"),
        ('{"question": "?", "final_answer": true}', "no final_answer that is text, but True"),
        ('{"question": "?", "final_answer": null}', "the row has no answer"),
        ('{"question": "?", "question": "!", "final_answer": "1"}', "the row has the key 'question' twice"),
        ('{"question": "?", "final_answer": "1", "meta": {"a": 1, "a": 2}}', "the row has the key 'a' twice"),
        (
            '{"question": "?", "answer": 72}',
            "does not end in '#### <final answer>'; end it so, or state the final_answer",
        ),
        (
            '{"messages": [], "id": 1}',
            "no question; every row needs a non-empty question (its keys are 'messages, id')",
        ),
        ('{"prompt": "?", "completion": "!"}', "its keys are 'prompt, completion'"),
        ('{"question": "?", "solution": "!"}', "no answer; every row needs an answer or a final_answer (its keys are"),
        *(
            (
                '{"question": "?", "answer": "#### 1", "id": ' + identifier + "}",
                "the id must be one line of text or a number",
            )
            for identifier in ("[1]", "{}", "true", "NaN", '""', '" "', r'"a\nb"', r'"\u001b[2J"', r'"\u2028"')
        ),
        (r'{"question": "?", "answer": "so\n#### 72\nHope this helps!"}', "is one line, and after '72' another begins"),
        (r'{"question": "?", "final_answer": "72\r\nor 73"}', "the final answer is one line, and after '72' another"),
        (r'{"question": "?", "final_answer": "72\u20287}3"}', "the final answer is one line, and after '72' another"),
        ('[{"question": "?", "answer": "#### 1"}]', "must be a JSON object, not a list; a data file is JSON Lines"),
        ('[\n  {"question": "?"}\n]', "not JSON (Expecting value); a data file is JSON Lines"),
        ('{\n  "question": "?"\n}', "a data file is JSON Lines in UTF-8: each line one JSON object"),
        ("question,answer\n?,#### 1\n", "no array, CSV or Parquet"),
        ("null", "must be a JSON object, not null"),
        ('"text"', "must be a JSON object, not 'text'"),
    ],
)
def test_a_row_that_can_not_be_read_is_one_line(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "bad.jsonl").write_text(row)
    with pytest.raises(GiftError) as refusal:
        read_problems(tmp_path / "bad.jsonl")
    (line,) = str(refusal.value).splitlines()
    assert line.startswith(f"{tmp_path / 'bad.jsonl'}, line 1: ")
    assert message in line
    assert len(line) < len(str(tmp_path)) + 300


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"question": "Größe?", "answer": "#### 1"}\n'.encode("latin-1"), "line 1: can't be read as UTF-8 text"),
        ((json.dumps(ROW) + "\n").encode("utf-16"), "line 1: can't be read as UTF-8 text"),
        ((json.dumps(ROW) + "\n").encode() + b"\xff\n", "line 2: can't be read as UTF-8 text"),
        (b"PAR1\x15\x04\x15\x80\xff\n", "no array, CSV or Parquet"),
        (gzip.compress(json.dumps(ROW).encode()), "line 1: can't be read as UTF-8 text"),
    ],
    ids=["latin-1", "utf-16", "one line of several", "parquet", "gzip"],  # gzip writes the time into its bytes
)
def test_another_kind_of_file_is_refused_with_what_is_read(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bad.jsonl").write_bytes(content)
    with pytest.raises(GiftError) as refusal:
        read_problems(tmp_path / "bad.jsonl")
    assert message in str(refusal.value)
    assert "a data file is JSON Lines" in str(refusal.value)


@pytest.mark.parametrize("damage", ["cut", "flipped", "tail", "plain"])
def test_a_damaged_gzip_file_is_refused(tmp_path: Path, damage: str) -> None:
    whole = gzip.compress("".join(json.dumps(ROW | {"id": i}) + "\n" for i in range(500)).encode())
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes(255 - byte for byte in whole[middle : middle + 40]) + whole[middle + 40 :]
    content = {"cut": whole[:middle], "flipped": flipped, "tail": whole + b"rest", "plain": b"plain"}[damage]
    (tmp_path / "p.jsonl.gz").write_bytes(content)
    with pytest.raises(GiftError, match=r"^data file \S+/p\.jsonl\.gz can't be read \(.*\); correct the path, or make"):
        read_problems(tmp_path / "p.jsonl.gz")


def test_what_can_not_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GiftError, match=r"can't be read \(it is no regular file\)"):
        read_problems(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(GiftError, match=r"can't be read \(it is no regular file\)"):
        read_problems(tmp_path / "pipe")
    with pytest.raises(GiftError, match="can't be read"):
        read_problems(tmp_path / ("x" * 300))
    with pytest.raises(GiftError, match="can't be read"):
        read_problems(Path("/proc/self/mem"))


def test_what_other_systems_put_around_lines_is_no_part_of_them(tmp_path: Path) -> None:
    rows = [{"question": f"One\u2028line\u2029and\x85more {i}?", "answer": "So.\r\n#### 1"} for i in range(2)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (tmp_path / "p.jsonl").write_bytes(("\ufeff" + "\r\n\r\n".join(lines) + "\r\n").encode())
    problems = read_problems(tmp_path / "p.jsonl")
    assert [problem.question for problem in problems] == [row["question"] for row in rows]
    assert [problem.id for problem in problems] == ["p/0", "p/2"]


@pytest.mark.parametrize(
    ("written", "read"),
    [("72", "72"), ("-5", "-5"), ("0", "0"), ('"72"', "72"), ('"1,234"', "1,234"), ("9" * 4000, "9" * 4000)],
)
def test_a_whole_number_is_a_final_answer(tmp_path: Path, written: str, read: str) -> None:
    (tmp_path / "p.jsonl").write_text('{"question": "?", "id": 7, "final_answer": ' + written + "}")
    assert read_problems(tmp_path / "p.jsonl") == [Problem("7", "?", "", read)]


def test_a_pair_of_surrogates_is_a_character_and_an_escaped_backslash_is_none(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(r'{"question": "\ud83d\ude00 \\ud800", "final_answer": 1}')
    assert read_problems(tmp_path / "p.jsonl")[0].question == "😀 \\ud800"


@given(row=st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_any_line_is_a_row_or_a_refusal_of_one_line(row: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(row)
    with pytest.raises(GiftError) as refusal:
        read_problems(path)
    assert len(str(refusal.value).splitlines()) == 1


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.from_regex(r"#### \d+\Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@given(row=st.dictionaries(st.sampled_from(["id", "question", "answer", "final_answer"]), JSON_VALUES))
def test_any_object_is_a_problem_that_survives_writing_or_a_refusal(
    row: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_text(json.dumps(row) + "\n")
    problems = _problems_or_refusal(path)
    if isinstance(problems, GiftError):
        assert len(str(problems).splitlines()) == 1
    else:
        write_problems(path, problems)
        assert read_problems(path) == problems


def _problems_or_refusal(path: Path) -> list[Problem] | GiftError:
    try:
        return read_problems(path)
    except GiftError as refusal:
        return refusal


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GiftError, match="does not exist"):
        read_problems(tmp_path / "none.jsonl")
    (tmp_path / "not.jsonl.gz").write_bytes(b"plain")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\x00")
    for name in ("not.jsonl.gz", "bytes.jsonl"):
        with pytest.raises(GiftError, match="can't be read"):
            read_problems(tmp_path / name)


def test_a_final_answer_may_begin_a_line_within_brackets(tmp_path: Path) -> None:
    problems = [Problem("a", "?", "\\boxed{9\\text{ square\nunits}}", "9\\text{ square\nunits}")]
    write_problems(tmp_path / "p.jsonl", problems)
    assert read_problems(tmp_path / "p.jsonl") == problems


def test_what_a_table_writes_for_nothing_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "table.jsonl"
    path.write_text('{"id": null, "question": "?", "answer": null, "final_answer": "1", "source": null}\n')
    assert read_problems(path) == [Problem("table/0", "?", "", "1")]

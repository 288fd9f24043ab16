"""Every answer is kept: what is written is what is read, and a file that holds something else is named."""

from dataclasses import replace
from pathlib import Path

import pytest

from gift.errors import GiftError
from gift.evaluation.answers import Answer, by_problem, read_answers, write_answers

ANSWER = Answer(
    benchmark="heldout",
    problem="p1@0123456789ab",
    sample=0,
    question="1 + 1?",
    reference="2",
    prompt="Question: 1 + 1?\nAnswer:",
    completion=" #### 2\u2028é\x00",
    answer="2",
    score=1.0,
    judged=True,
    tokens=5,
    truncated=False,
)
NONE = replace(ANSWER, sample=1, completion="", answer=None, score=0.0, judged=False, tokens=0, truncated=True)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_answers(tmp_path / "answers.parquet", [ANSWER, NONE])
    assert read_answers(tmp_path / "answers.parquet") == [ANSWER, NONE]


def test_answers_are_found_by_benchmark_and_problem_in_their_order() -> None:
    other = replace(ANSWER, problem="p0")
    found = by_problem([ANSWER, other, NONE, replace(NONE, benchmark="gsm8k")])
    assert {name: list(problems) for name, problems in found.items()} == {
        "heldout": [ANSWER.problem, "p0"],
        "gsm8k": [ANSWER.problem],
    }
    assert found["heldout"][ANSWER.problem] == [ANSWER, NONE]


def test_a_missing_file_is_of_an_older_evaluation(tmp_path: Path) -> None:
    with pytest.raises(GiftError, match=r"^there are no answers at s3://x: .* evaluate again$"):
        read_answers(tmp_path / "answers.parquet", origin="s3://x")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all", b"PAR1" + b"\0" * 64 + b"PAR1"])
def test_another_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "answers.parquet").write_bytes(content)
    with pytest.raises(GiftError, match=r"answers\.parquet does not hold answers \(\w+\); evaluate again$"):
        read_answers(tmp_path / "answers.parquet")


def test_a_table_with_other_columns_is_refused(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"benchmark": [1], "score": ["high"]}), tmp_path / "answers.parquet")
    with pytest.raises(GiftError, match="does not hold answers"):
        read_answers(tmp_path / "answers.parquet")

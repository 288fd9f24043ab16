"""A folder of public data in small, and none from outside."""

from pathlib import Path

import pytest

from tests.gift.data.made_up_data import math_row, write_questions, write_rows


@pytest.fixture(autouse=True)
def no_folder_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIFT_DATA_DIR", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "public"
    write_questions(folder / "gsm8k_train.jsonl", ["a?", "b?", "c?"])
    write_questions(folder / "gsm8k_test.jsonl", ["x?", "y?"])
    return folder


@pytest.fixture
def math_folder(folder: Path) -> Path:
    write_rows(
        folder / "math_train.jsonl",
        [
            math_row("Find $x^2$."),
            math_row("Find  $X^2$.", name="again"),  # the same question
            math_row("Find $y$.", "1"),
            math_row("Find $ y $.", "2"),  # the same with another answer: nobody knows which is right
            {"problem": "Draw.", "solution": "No box.", "unique_id": "open"},
            {"problem": "Empty?", "solution": r"$\boxed{}$", "unique_id": "empty"},
            math_row("HELD (out) question: $1+1$"),  # the same words as a held-out one
            math_row(r"Nest $\frac12$.", r"\frac{1}{2}"),
        ],
    )
    write_rows(folder / "math_test.jsonl", [math_row("Held out question $1 + 1$"), math_row("Only in the test set.")])
    write_rows(
        folder / "math500.jsonl",
        [math_row("Held out question $1 + 1$", name="test/1.json"), math_row("Count to two.", "2", name="test/2.json")],
    )
    return folder

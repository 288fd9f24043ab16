"""A final answer that no response can earn is refused, or left out and counted, never trained on in silence."""

import json
from pathlib import Path

import pytest

from gift.data.prepare import data_settings, write_data
from gift.data.problems import read_problems
from gift.errors import GiftError
from tests.gift.data.made_up_data import (
    BOXED,
    REWARD_MODEL,
    asked,
    data_config,
    math_row,
    own_files,
    without_contamination,
    write_rows,
)


@pytest.mark.parametrize("answer", ["", "72 apples", "$72", "1/2", "−5", "50%", "+5", "yes", "(1,2)"])
@pytest.mark.parametrize("split", ["train", "heldout"])
def test_a_final_answer_that_no_response_can_earn_is_refused(tmp_path: Path, split: str, answer: str) -> None:
    answers = {"train": [1, 2], "heldout": [3]} | {split: [5, answer, answer]}
    data = own_files(tmp_path, **answers)
    with pytest.raises(GiftError) as refusal:
        write_data(data_config(data), tmp_path / "out")
    (line,) = str(refusal.value).splitlines()
    shown = repr(answer) if answer else "empty"
    assert f"2 of 3 problems of split {split}, the first is {shown} of problem {split}-1; " in line
    assert "reads a number after ####" in line
    assert "set data.unearnable to drop" in line


def test_nothing_asks_whether_answers_can_be_earned_where_nothing_compares_with_them(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIFT_DATA_DIR", str(folder))
    config = data_config(own_files(tmp_path, ["", "yes"], ["no", ""]), rewards=[REWARD_MODEL], **asked("gsm8k"))
    assert without_contamination(write_data(config, tmp_path / "out")) == {
        "rows.sft": 2,
        "rows.train": 2,
        "rows.heldout": 2,
    }


def test_answers_in_words_are_fine_where_texts_are_compared(tmp_path: Path) -> None:
    config = data_config(own_files(tmp_path, ["1/2", "yes", "72 apples"], ["$72", "no"]), **BOXED)
    assert without_contamination(write_data(config, tmp_path / "out")) == {
        "rows.sft": 3,
        "rows.train": 3,
        "rows.heldout": 2,
    }


def test_answers_that_can_not_be_earned_are_left_out_and_counted_where_the_profile_says_so(tmp_path: Path) -> None:
    data = own_files(tmp_path, [1, "72 apples", "", "1,200"], ["yes", 4, 5], unearnable="drop")
    counts = write_data(data_config(data), tmp_path / "out")
    dropped = {"dropped.train.unearnable": 2, "dropped.heldout.unearnable": 1}
    assert without_contamination(counts) == {"rows.sft": 4, "rows.train": 2, "rows.heldout": 2} | dropped
    assert [p.final_answer for p in read_problems(tmp_path / "out" / "train.jsonl")] == ["1", "1,200"]


def test_leaving_out_all_problems_is_refused(tmp_path: Path) -> None:
    data = own_files(tmp_path, ["yes", "no"], [4], unearnable="drop")
    with pytest.raises(GiftError, match="2 of 2 problems of split train"):
        write_data(data_config(data), tmp_path / "out")


def test_of_public_data_training_problems_are_left_out_and_a_benchmark_is_not_made_smaller(
    math_folder: Path, tmp_path: Path
) -> None:
    config = {"source": "math", "folder": str(math_folder)}
    counts = write_data(data_config(config), tmp_path / "out")  # whose reward reads numbers: \\frac{1}{2} is none
    assert (counts["rows.train"], counts["dropped.train.unearnable"]) == (1, 1)
    write_rows(math_folder / "math500.jsonl", [math_row("One?", "1"), math_row("Half?", r"\frac{1}{2}", name="half")])
    with pytest.raises(
        GiftError, match=r"1 of 2 problems of split heldout, .* of problem half; evaluation\.heldout_ans"
    ):
        write_data(data_config(config), tmp_path / "out")
    assert write_data(data_config(config, **BOXED), tmp_path / "out")["rows.heldout"] == 2


def test_the_rule_that_judges_answers_is_part_of_the_identity(tmp_path: Path) -> None:
    data = own_files(tmp_path, [1], [2])
    configs = [data_config(data), data_config(data, **BOXED), data_config(data | {"unearnable": "drop"})]
    assert len({json.dumps(data_settings(config)) for config in configs}) == 3

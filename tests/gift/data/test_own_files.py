"""Your own files: what is asked, trained on, left out or refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from gift.config import load_profile
from gift.data.prepare import write_data
from gift.data.problems import read_problems
from gift.data.scored import read_scored
from gift.errors import GiftError
from tests.gift.data.made_up_data import (
    BOXED,
    asked,
    data_config,
    own_files,
    without_contamination,
    write_questions,
    write_rows,
)


def test_own_files(tmp_path: Path) -> None:
    write_questions(tmp_path / "train.jsonl", ["a?", "b?"])
    write_questions(tmp_path / "test.jsonl", ["x?", "y?"])
    write_rows(tmp_path / "scored.jsonl", [{"question": "c?", "chosen": "good", "rejected": "bad"}])
    files = {f"{name}_file": str(tmp_path / f"{name}.jsonl") for name in ("train", "scored")}
    data = {"source": "jsonl", "heldout_file": str(tmp_path / "test.jsonl"), "train": 1, **files}
    counts = write_data(data_config(data), tmp_path / "out")
    assert without_contamination(counts) == {"rows.sft": 2, "rows.train": 1, "rows.heldout": 2, "rows.scored": 1}
    assert read_scored(tmp_path / "out" / "scored.jsonl")[0].responses == ("good", "bad")


@pytest.mark.parametrize("spoiled", ["train", "scored"])
def test_a_question_that_is_trained_on_and_held_out_is_refused(tmp_path: Path, spoiled: str) -> None:
    write_questions(tmp_path / "train.jsonl", ["a?", "b?"])
    write_rows(tmp_path / "scored.jsonl", [{"question": "c?", "chosen": "good", "rejected": "bad"}])
    write_questions(tmp_path / "test.jsonl", ["B ?" if spoiled == "train" else "c?"])
    files = {f"{name}_file": str(tmp_path / f"{name}.jsonl") for name in ("train", "scored")}
    data = {"source": "jsonl", "heldout_file": str(tmp_path / "test.jsonl"), **files}
    split, name, line = ("sft", "train/1", 2) if spoiled == "train" else ("scored", "scored/0", 1)
    with pytest.raises(GiftError) as refusal:
        write_data(data_config(data), tmp_path / "out")
    assert str(refusal.value) == (
        f"data: problem {name} ({tmp_path / spoiled}.jsonl, line {line}) of split {split} is problem test/0 of the "
        "benchmark heldout, the first of 1 such; take them out, or set data.contamination to remove, or to report "
        "(they are trained on, and the report says so)"
    )


def test_a_benchmark_problem_among_your_own_is_refused_left_out_or_trained_on(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIFT_DATA_DIR", str(folder))
    write_questions(tmp_path / "train.jsonl", ["a?", "X ?"])
    write_questions(tmp_path / "heldout.jsonl", ["h?"])
    data = {"source": "jsonl"} | {f"{split}_file": str(tmp_path / f"{split}.jsonl") for split in ("train", "heldout")}

    def written(rule: str) -> dict[str, int]:
        return write_data(data_config(data | {"contamination": rule}, **asked("gsm8k_greedy")), tmp_path / rule)

    with pytest.raises(
        GiftError, match=r"problem train/1 .*line 2\) .* is problem gsm8k_test/0 of the benchmark gsm8k"
    ):
        written("refuse")
    removed, reported = written("remove"), written("report")
    assert (removed["rows.train"], removed["dropped.train.contaminated"]) == (1, 1)
    assert (removed["contamination.gsm8k.trained_on"], removed["contamination.gsm8k.problems"]) == (0, 2)
    assert (reported["rows.train"], reported["contamination.gsm8k.trained_on"]) == (2, 1)
    assert reported["contamination.heldout.overlapping"] == 0


def test_what_is_not_trained_on_does_not_count(tmp_path: Path) -> None:
    write_questions(tmp_path / "train.jsonl", ["a?", "h?"])
    write_questions(tmp_path / "heldout.jsonl", ["h?", "k?"])
    data = {"source": "jsonl"} | {f"{split}_file": str(tmp_path / f"{split}.jsonl") for split in ("train", "heldout")}
    counts = write_data(data_config(data | {"train": 1, "sft": 1}), tmp_path / "out")
    assert counts["contamination.heldout.trained_on"] == 0


def test_a_held_out_question_is_asked_once_however_often_it_is_there(tmp_path: Path) -> None:
    data = own_files(tmp_path, [1, 2], [3, 4, 5])
    rows = [json.loads(line) for line in (tmp_path / "heldout.jsonl").read_text().splitlines()]
    again = [row | {"id": "again", "question": row["question"].upper()} for row in rows[:2]]
    conflicting = rows[2] | {"final_answer": 6}
    write_rows(tmp_path / "heldout.jsonl", [*rows, *rows[:1], *again, conflicting])
    counts = write_data(data_config(data), tmp_path / "out")
    assert counts["rows.heldout"] == 2
    assert (counts["dropped.heldout.duplicates"], counts["dropped.heldout.conflicting_answers"]) == (3, 2)
    assert [p.id for p in read_problems(tmp_path / "out" / "heldout.jsonl")] == ["heldout-0", "heldout-1"]


@pytest.mark.parametrize(("heldout", "dropped"), [([3], ""), ([3, "yes"], "'heldout.unearnable': 1")])
def test_one_held_out_problem_is_refused_where_a_benchmark_asks_it(
    tmp_path: Path, folder: Path, heldout: list[Any], dropped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIFT_DATA_DIR", str(folder))
    data = own_files(tmp_path, [1, 2], heldout, unearnable="drop")
    with pytest.raises(GiftError) as refusal:
        write_data(data_config(data), tmp_path / "out")
    assert str(refusal.value).startswith("data: the held-out split has 1 of the 2 or more problems that the run needs")
    assert dropped in str(refusal.value)
    assert write_data(data_config(data, **asked("gsm8k")), tmp_path / "other")["rows.heldout"] == len(heldout)


def test_leaving_out_all_of_it_is_refused(tmp_path: Path) -> None:
    for split in ("train", "heldout"):
        write_questions(tmp_path / f"{split}.jsonl", ["h?"])
    data = {"source": "jsonl"} | {f"{split}_file": str(tmp_path / f"{split}.jsonl") for split in ("train", "heldout")}
    no_warm_up = {"sft": load_profile("local").sft.model_dump(mode="json") | {"steps": 0}}
    model = {"model": {"source": "folder", "path": "/m"}}
    with pytest.raises(GiftError, match=r"no problem is left to train on .*contaminated"):
        write_data(data_config(data | {"contamination": "remove"}, **no_warm_up, **model), tmp_path / "out")


@pytest.mark.parametrize("before", ["", "Find "])
@pytest.mark.parametrize("split", ["train", "heldout", "scored"])
def test_a_latex_command_that_json_has_read_as_a_control_character_is_refused(
    tmp_path: Path, split: str, before: str
) -> None:
    data = own_files(tmp_path, [1], [2]) | {"scored_file": str(tmp_path / "scored.jsonl")}
    write_rows(tmp_path / "scored.jsonl", [{"question": "c?", "chosen": "good", "rejected": "bad"}])
    spoiled = tmp_path / f"{split}.jsonl"
    typed = rf'"question": "{before}\frac{{1}}{{2}}? '
    spoiled.write_text(spoiled.read_text().replace('"question": "', typed, 1))
    with pytest.raises(GiftError, match=rf"split {split}: problem \S+ has the control character '\\x0c' before 'rac"):
        write_data(data_config(data), tmp_path / "out")


def test_so_is_one_with_which_a_final_answer_begins(tmp_path: Path) -> None:
    data = own_files(tmp_path, [1], ["HALF"])
    (tmp_path / "heldout.jsonl").write_text((tmp_path / "heldout.jsonl").read_text().replace("HALF", r"\frac{1}{2}"))
    with pytest.raises(GiftError, match=r"split heldout: problem heldout-0 has the control character '\\x0c' before"):
        write_data(data_config(data, **BOXED), tmp_path / "out")

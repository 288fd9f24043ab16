"""Every data source becomes the same files; what is missing or would spoil the benchmark is refused or left out."""

import json
from pathlib import Path
from typing import Any

import pytest

from gift.config import Gsm8kData, RunConfig, data_folder, load_profile, parse_config
from gift.data.problems import read_problems
from gift.data.scored import read_scored
from gift.data.sources import check_data, data_settings, write_data
from gift.errors import GiftError

RM = {"kind": "model", "model": {"source": "folder", "path": "/rm"}}


def _rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _questions(path: Path, questions: list[str]) -> None:
    _rows(path, [{"question": q, "answer": f"so\n#### {i}"} for i, q in enumerate(questions)])


def _config(data: dict[str, Any], **changes: Any) -> RunConfig:
    values = load_profile("local").model_dump(mode="json") | {"data": data} | changes
    return parse_config(values)


BOXED = {
    "rewards": [{"kind": "math"}],
    "evaluation": {"benchmarks": [{"task": "heldout", "max_new_tokens": 8}], "heldout_answers": "boxed"},
    "gate": {"benchmarks": [{"benchmark": "heldout", "at_least": 0.0}]},
}


def _counts(counts: dict[str, int]) -> dict[str, int]:
    """Without those of contamination."""
    return {name: count for name, count in counts.items() if not name.startswith("contamination.")}


def _benchmarks(*tasks: str) -> dict[str, Any]:
    return {
        "evaluation": {"benchmarks": [{"task": task, "max_new_tokens": 8} for task in tasks]},
        "gate": {"benchmarks": [{"benchmark": tasks[0], "at_least": 0.0}]},
    }


@pytest.fixture(autouse=True)
def no_folder_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIFT_DATA_DIR", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "public"
    _questions(folder / "gsm8k_train.jsonl", ["a?", "b?", "c?"])
    _questions(folder / "gsm8k_test.jsonl", ["x?", "y?"])
    return folder


def _math(problem: str, answer: str = "7", name: str = "") -> dict[str, Any]:
    return {"problem": problem, "solution": rf"Thus $\boxed{{{answer}}}$.", "unique_id": name or problem}


@pytest.fixture
def math_folder(folder: Path) -> Path:
    _rows(
        folder / "math_train.jsonl",
        [
            _math("Find $x^2$."),
            _math("Find  $X^2$.", name="again"),  # the same question
            _math("Find $y$.", "1"),
            _math("Find $ y $.", "2"),  # the same with another answer: nobody knows which is right
            {"problem": "Draw.", "solution": "No box.", "unique_id": "open"},
            {"problem": "Empty?", "solution": r"$\boxed{}$", "unique_id": "empty"},
            _math("HELD (out) question: $1+1$"),  # the same words as a held-out one
            _math(r"Nest $\frac12$.", r"\frac{1}{2}"),
        ],
    )
    _rows(folder / "math_test.jsonl", [_math("Held out question $1 + 1$"), _math("Only in the test set.")])
    _rows(
        folder / "math500.jsonl",
        [_math("Held out question $1 + 1$", name="test/1.json"), _math("Count to two.", "2", name="test/2.json")],
    )
    return folder


def test_arithmetic_is_written_and_repeats(tmp_path: Path) -> None:
    data = {"source": "arithmetic", "sft": 50, "train": 20, "heldout": 10}
    counts = write_data(_config(data), tmp_path / "one")
    assert _counts(counts) == {"rows.sft": 50, "rows.train": 20, "rows.heldout": 10}
    write_data(_config(data), tmp_path / "two")
    write_data(_config(data, seed=1), tmp_path / "three")
    one, two, three = ((tmp_path / name / "sft.jsonl").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three


def test_an_easy_part_of_gsm8k_by_the_steps_of_its_solutions(folder: Path, tmp_path: Path) -> None:
    one, two, three, none = "1\n#### 1", "1\n\n2 \n#### 2\n", "1\n2\n3\n#### 3", "#### 4"
    for split, solutions in (("train", [three, two, none, one]), ("test", [one, three])):
        rows = [{"question": f"{split} {solution}?", "answer": solution} for solution in solutions]
        _rows(folder / f"gsm8k_{split}.jsonl", rows)
    data = {"source": "gsm8k", "folder": str(folder), "max_solution_steps": 2}
    counts = write_data(_config(data, **_benchmarks("gsm8k")), tmp_path / "out")
    for split, kept in (("train", [two, one]), ("sft", [two, one]), ("heldout", [one])):
        problems = read_problems(tmp_path / "out" / f"{split}.jsonl")
        assert [problem.final_answer for problem in problems] == [solution.split()[-1] for solution in kept]
    assert (counts["dropped.train.no_short_solution"], counts["dropped.heldout.no_short_solution"]) == (2, 1)
    assert len(read_problems(tmp_path / "out" / "gsm8k" / "test.jsonl")) == 2  # the benchmark stays whole
    _rows(folder / "gsm8k_test.jsonl", [{"question": "?", "answer": three}])
    with pytest.raises(GiftError, match=r"max_solution_steps: GSM8K has no solutions of at most 2 steps"):
        write_data(_config(data), tmp_path / "none")


def test_gsm8k_from_a_folder_and_the_whole_of_it_for_lm_eval(folder: Path, tmp_path: Path) -> None:
    config = _config({"source": "gsm8k", "folder": str(folder), "sft": 2, "heldout": 2}, **_benchmarks("gsm8k"))
    _questions(folder / "gsm8k_test.jsonl", ["x?", "y?", "z?"])
    assert _counts(write_data(config, tmp_path / "out")) == {"rows.sft": 2, "rows.train": 3, "rows.heldout": 2}
    assert len(read_problems(tmp_path / "out" / "gsm8k" / "train.jsonl")) == 3
    assert [p.question for p in read_problems(tmp_path / "out" / "gsm8k" / "test.jsonl")] == ["x?", "y?", "z?"]


def test_any_source_takes_lm_evals_benchmarks_from_the_folder(
    math_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIFT_DATA_DIR", str(math_folder))
    _rows(math_folder / "aime24.jsonl", [{"id": "2024-I-1", "problem": "Walk.", "answer": "033"}])
    data = {"source": "arithmetic", "sft": 5, "train": 5, "heldout": 5}
    write_data(_config(data, **_benchmarks("gsm8k", "math500", "aime24")), tmp_path)
    assert [p.id for p in read_problems(tmp_path / "math500" / "test.jsonl")] == ["test/1.json", "test/2.json"]
    assert [p.final_answer for p in read_problems(tmp_path / "aime24" / "test.jsonl")] == ["33"]


def test_the_environment_names_the_folder_unless_the_profile_does(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIFT_DATA_DIR", str(folder))
    assert data_folder(Gsm8kData(source="gsm8k")) == folder
    assert data_folder(Gsm8kData(source="gsm8k", folder=tmp_path)) == tmp_path


@pytest.mark.parametrize(
    ("train_set", "questions", "contaminated"),
    [
        ("train", ["Find $x^2$.", r"Nest $\frac12$."], 1),
        ("all-but-math500", ["Find $x^2$.", r"Nest $\frac12$.", "Only in the test set."], 2),
    ],
)
def test_math_leaves_out_and_counts_what_must_not_be_trained_on(
    math_folder: Path, tmp_path: Path, train_set: str, questions: list[str], contaminated: int
) -> None:
    data = {"source": "math", "folder": str(math_folder), "train_set": train_set}
    counts = write_data(_config(data, **BOXED), tmp_path / "out")
    train = read_problems(tmp_path / "out" / "train.jsonl")
    assert [problem.question for problem in train] == questions
    assert train[1].final_answer == r"\frac{1}{2}"
    assert read_problems(tmp_path / "out" / "sft.jsonl") == train
    assert [p.id for p in read_problems(tmp_path / "out" / "heldout.jsonl")] == ["test/1.json", "test/2.json"]
    assert _counts(counts) == {
        "rows.sft": len(questions),
        "rows.train": len(questions),
        "rows.heldout": 2,
        "dropped.train.no_answer": 2,
        "dropped.train.conflicting_answers": 2,
        "dropped.train.duplicates": 1,
        "dropped.sft.contaminated": contaminated,
        "dropped.train.contaminated": contaminated,
    }


@pytest.fixture
def dapo_folder(math_folder: Path) -> Path:
    _rows(
        math_folder / "dapo_math_17k.jsonl",
        [
            {"problem": "Find $n$.", "answer": "34"},
            {"problem": "Walk fast.", "answer": "5"},
            {"problem": "Held out question $1+1$", "answer": "2"},  # in MATH-500
        ],
    )
    walks = [("2024-I-1", "Walk, fast!", "204"), ("2024-I-2", "Walk, slowly!", "25")]
    _rows(math_folder / "aime24.jsonl", [{"id": id, "problem": problem, "answer": last} for id, problem, last in walks])
    return math_folder


def test_dapo_trains_on_no_problem_of_any_benchmark_of_the_run(dapo_folder: Path, tmp_path: Path) -> None:
    data = {"source": "dapo", "folder": str(dapo_folder)}
    no_warm_up = {"sft": load_profile("local").sft.model_dump(mode="json") | {"steps": 0}}
    model = {"model": {"source": "folder", "path": "/m"}}
    counts = write_data(_config(data, **no_warm_up, **model, **_benchmarks("aime24", "math500")), tmp_path / "out")
    assert [p.question for p in read_problems(tmp_path / "out" / "train.jsonl")] == ["Find $n$."]
    assert counts["dropped.train.contaminated"] == 2
    assert (tmp_path / "out" / "sft.jsonl").read_text() == ""
    assert [p.final_answer for p in read_problems(tmp_path / "out" / "heldout.jsonl")] == ["204", "25"]


def test_dapo_borrows_demonstrations_from_math(dapo_folder: Path, tmp_path: Path) -> None:
    data = {"source": "dapo", "folder": str(dapo_folder), "sft": 1}
    counts = write_data(_config(data), tmp_path / "out")
    assert counts["rows.sft"] == 1
    assert read_problems(tmp_path / "out" / "sft.jsonl")[0].answer == r"Thus $\boxed{7}$."


@pytest.fixture
def feedback_folder(folder: Path) -> Path:
    def row(prompt: str, chosen: str = "Yes.", rejected: str = "No.") -> dict[str, Any]:
        sides = {"chosen": chosen, "rejected": rejected}
        return {
            "prompt": prompt,
            **{
                side: [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]
                for side, text in sides.items()
            },
        }

    _rows(
        folder / "ultrafeedback_train.jsonl",
        [row("Why?"), row("é" * 40), row("Long answer?", "y" * 99), row("How?", rejected=""), row("Held?")],
    )
    _rows(folder / "ultrafeedback_test.jsonl", [row("Held?"), row("w" * 99)])
    return folder


def test_ultrafeedback_gives_prompts_demonstrations_and_pairs_that_fit(feedback_folder: Path, tmp_path: Path) -> None:
    limits = {"max_question_bytes": 50, "max_answer_bytes": 50}
    data = {"source": "ultrafeedback", "folder": str(feedback_folder), **limits}
    counts = write_data(_config(data, rewards=[RM], **_benchmarks("gsm8k")), tmp_path / "out")
    train = read_problems(tmp_path / "out" / "train.jsonl")
    assert [(p.question, p.answer, p.final_answer) for p in train] == [("Why?", "Yes.", ""), ("How?", "Yes.", "")]
    assert [p.question for p in read_problems(tmp_path / "out" / "heldout.jsonl")] == ["Held?"]
    (pair,) = read_scored(tmp_path / "out" / "scored.jsonl")
    assert (pair.question, pair.responses, pair.scores) == ("Why?", ("Yes.", "No."), (1.0, 0.0))
    assert counts["dropped.train.too_long"] == 2


def test_own_files(tmp_path: Path) -> None:
    _questions(tmp_path / "train.jsonl", ["a?", "b?"])
    _questions(tmp_path / "test.jsonl", ["x?", "y?"])
    _rows(tmp_path / "scored.jsonl", [{"question": "c?", "chosen": "good", "rejected": "bad"}])
    files = {f"{name}_file": str(tmp_path / f"{name}.jsonl") for name in ("train", "scored")}
    data = {"source": "jsonl", "heldout_file": str(tmp_path / "test.jsonl"), "train": 1, **files}
    counts = write_data(_config(data), tmp_path / "out")
    assert _counts(counts) == {"rows.sft": 2, "rows.train": 1, "rows.heldout": 2, "rows.scored": 1}
    assert read_scored(tmp_path / "out" / "scored.jsonl")[0].responses == ("good", "bad")


@pytest.mark.parametrize("spoiled", ["train", "scored"])
def test_a_question_that_is_trained_on_and_held_out_is_refused(tmp_path: Path, spoiled: str) -> None:
    _questions(tmp_path / "train.jsonl", ["a?", "b?"])
    _rows(tmp_path / "scored.jsonl", [{"question": "c?", "chosen": "good", "rejected": "bad"}])
    _questions(tmp_path / "test.jsonl", ["B ?" if spoiled == "train" else "c?"])
    files = {f"{name}_file": str(tmp_path / f"{name}.jsonl") for name in ("train", "scored")}
    data = {"source": "jsonl", "heldout_file": str(tmp_path / "test.jsonl"), **files}
    split, name, line = ("sft", "train/1", 2) if spoiled == "train" else ("scored", "scored/0", 1)
    with pytest.raises(GiftError) as refusal:
        write_data(_config(data), tmp_path / "out")
    assert str(refusal.value) == (
        f"data: problem {name} ({tmp_path / spoiled}.jsonl, line {line}) of split {split} is problem test/0 of the "
        "benchmark heldout, the first of 1 such; take them out, or set data.contamination to remove, or to report "
        "(they are trained on, and the report says so)"
    )


def test_a_benchmark_problem_among_your_own_is_refused_left_out_or_trained_on(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIFT_DATA_DIR", str(folder))
    _questions(tmp_path / "train.jsonl", ["a?", "X ?"])
    _questions(tmp_path / "heldout.jsonl", ["h?"])
    data = {"source": "jsonl"} | {f"{split}_file": str(tmp_path / f"{split}.jsonl") for split in ("train", "heldout")}

    def written(rule: str) -> dict[str, int]:
        return write_data(_config(data | {"contamination": rule}, **_benchmarks("gsm8k_greedy")), tmp_path / rule)

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
    _questions(tmp_path / "train.jsonl", ["a?", "h?"])
    _questions(tmp_path / "heldout.jsonl", ["h?", "k?"])
    data = {"source": "jsonl"} | {f"{split}_file": str(tmp_path / f"{split}.jsonl") for split in ("train", "heldout")}
    counts = write_data(_config(data | {"train": 1, "sft": 1}), tmp_path / "out")
    assert counts["contamination.heldout.trained_on"] == 0


def test_a_held_out_question_is_asked_once_however_often_it_is_there(tmp_path: Path) -> None:
    data = _own(tmp_path, [1, 2], [3, 4, 5])
    rows = [json.loads(line) for line in (tmp_path / "heldout.jsonl").read_text().splitlines()]
    again = [row | {"id": "again", "question": row["question"].upper()} for row in rows[:2]]
    conflicting = rows[2] | {"final_answer": 6}
    _rows(tmp_path / "heldout.jsonl", [*rows, *rows[:1], *again, conflicting])
    counts = write_data(_config(data), tmp_path / "out")
    assert counts["rows.heldout"] == 2
    assert (counts["dropped.heldout.duplicates"], counts["dropped.heldout.conflicting_answers"]) == (3, 2)
    assert [p.id for p in read_problems(tmp_path / "out" / "heldout.jsonl")] == ["heldout-0", "heldout-1"]


def test_so_is_one_of_public_data(folder: Path, tmp_path: Path) -> None:
    _questions(folder / "gsm8k_test.jsonl", ["x?", "y?"])
    (folder / "gsm8k_test.jsonl").write_text((folder / "gsm8k_test.jsonl").read_text() * 2)
    counts = write_data(_config({"source": "gsm8k", "folder": str(folder)}), tmp_path / "out")
    assert (counts["rows.heldout"], counts["dropped.heldout.duplicates"]) == (2, 2)


@pytest.mark.parametrize(("heldout", "dropped"), [([3], ""), ([3, "yes"], "'heldout.unearnable': 1")])
def test_one_held_out_problem_is_refused_where_a_benchmark_asks_it(
    tmp_path: Path, folder: Path, heldout: list[Any], dropped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIFT_DATA_DIR", str(folder))
    data = _own(tmp_path, [1, 2], heldout, unearnable="drop")
    with pytest.raises(GiftError) as refusal:
        write_data(_config(data), tmp_path / "out")
    assert str(refusal.value).startswith("data: the held-out split has 1 of the 2 or more problems that the run needs")
    assert dropped in str(refusal.value)
    assert write_data(_config(data, **_benchmarks("gsm8k")), tmp_path / "other")["rows.heldout"] == len(heldout)


def test_leaving_out_all_of_it_is_refused(tmp_path: Path) -> None:
    for split in ("train", "heldout"):
        _questions(tmp_path / f"{split}.jsonl", ["h?"])
    data = {"source": "jsonl"} | {f"{split}_file": str(tmp_path / f"{split}.jsonl") for split in ("train", "heldout")}
    no_warm_up = {"sft": load_profile("local").sft.model_dump(mode="json") | {"steps": 0}}
    model = {"model": {"source": "folder", "path": "/m"}}
    with pytest.raises(GiftError, match=r"no problem is left to train on .*contaminated"):
        write_data(_config(data | {"contamination": "remove"}, **no_warm_up, **model), tmp_path / "out")


def _own(tmp_path: Path, train: list[Any], heldout: list[Any], **options: Any) -> dict[str, Any]:
    """Files whose rows have these final answers."""
    for split, answers in (("train", train), ("heldout", heldout)):
        rows = [
            {"id": f"{split}-{i}", "question": f"{split} {i}?", "answer": "So.", "final_answer": answer}
            for i, answer in enumerate(answers)
        ]
        _rows(tmp_path / f"{split}.jsonl", rows)
    files = {f"{split}_file": str(tmp_path / f"{split}.jsonl") for split in ("train", "heldout")}
    return {"source": "jsonl", **files, **options}


@pytest.mark.parametrize("answer", ["", "72 apples", "$72", "1/2", "−5", "50%", "+5", "yes", "(1,2)"])
@pytest.mark.parametrize("split", ["train", "heldout"])
def test_a_final_answer_that_no_response_can_earn_is_refused(tmp_path: Path, split: str, answer: str) -> None:
    answers = {"train": [1, 2], "heldout": [3]} | {split: [5, answer, answer]}
    data = _own(tmp_path, **answers)
    with pytest.raises(GiftError) as refusal:
        write_data(_config(data), tmp_path / "out")
    (line,) = str(refusal.value).splitlines()
    shown = repr(answer) if answer else "empty"
    assert f"2 of 3 problems of split {split}, the first is {shown} of problem {split}-1; " in line
    assert "reads a number after ####" in line
    assert "set data.unearnable to drop" in line


def test_nothing_asks_whether_answers_can_be_earned_where_nothing_compares_with_them(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIFT_DATA_DIR", str(folder))
    config = _config(_own(tmp_path, ["", "yes"], ["no", ""]), rewards=[RM], **_benchmarks("gsm8k"))
    assert _counts(write_data(config, tmp_path / "out")) == {"rows.sft": 2, "rows.train": 2, "rows.heldout": 2}


def test_answers_in_words_are_fine_where_texts_are_compared(tmp_path: Path) -> None:
    config = _config(_own(tmp_path, ["1/2", "yes", "72 apples"], ["$72", "no"]), **BOXED)
    assert _counts(write_data(config, tmp_path / "out")) == {"rows.sft": 3, "rows.train": 3, "rows.heldout": 2}


def test_answers_that_can_not_be_earned_are_left_out_and_counted_where_the_profile_says_so(tmp_path: Path) -> None:
    data = _own(tmp_path, [1, "72 apples", "", "1,200"], ["yes", 4, 5], unearnable="drop")
    counts = write_data(_config(data), tmp_path / "out")
    dropped = {"dropped.train.unearnable": 2, "dropped.heldout.unearnable": 1}
    assert _counts(counts) == {"rows.sft": 4, "rows.train": 2, "rows.heldout": 2} | dropped
    assert [p.final_answer for p in read_problems(tmp_path / "out" / "train.jsonl")] == ["1", "1,200"]


def test_leaving_out_all_problems_is_refused(tmp_path: Path) -> None:
    data = _own(tmp_path, ["yes", "no"], [4], unearnable="drop")
    with pytest.raises(GiftError, match="2 of 2 problems of split train"):
        write_data(_config(data), tmp_path / "out")


def test_of_public_data_training_problems_are_left_out_and_a_benchmark_is_not_made_smaller(
    math_folder: Path, tmp_path: Path
) -> None:
    config = {"source": "math", "folder": str(math_folder)}
    counts = write_data(_config(config), tmp_path / "out")  # whose reward reads numbers: \\frac{1}{2} is none
    assert (counts["rows.train"], counts["dropped.train.unearnable"]) == (1, 1)
    _rows(math_folder / "math500.jsonl", [_math("One?", "1"), _math("Half?", r"\frac{1}{2}", name="half")])
    with pytest.raises(
        GiftError, match=r"1 of 2 problems of split heldout, .* of problem half; evaluation\.heldout_ans"
    ):
        write_data(_config(config), tmp_path / "out")
    assert write_data(_config(config, **BOXED), tmp_path / "out")["rows.heldout"] == 2


def test_the_rule_that_judges_answers_is_part_of_the_identity(tmp_path: Path) -> None:
    data = _own(tmp_path, [1], [2])
    configs = [_config(data), _config(data, **BOXED), _config(data | {"unearnable": "drop"})]
    assert len({json.dumps(data_settings(config)) for config in configs}) == 3


@pytest.mark.parametrize("before", ["", "Find "])
@pytest.mark.parametrize("split", ["train", "heldout", "scored"])
def test_a_latex_command_that_json_has_read_as_a_control_character_is_refused(
    tmp_path: Path, split: str, before: str
) -> None:
    data = _own(tmp_path, [1], [2]) | {"scored_file": str(tmp_path / "scored.jsonl")}
    _rows(tmp_path / "scored.jsonl", [{"question": "c?", "chosen": "good", "rejected": "bad"}])
    spoiled = tmp_path / f"{split}.jsonl"
    typed = rf'"question": "{before}\frac{{1}}{{2}}? '
    spoiled.write_text(spoiled.read_text().replace('"question": "', typed, 1))
    with pytest.raises(GiftError, match=rf"split {split}: problem \S+ has the control character '\\x0c' before 'rac"):
        write_data(_config(data), tmp_path / "out")


def test_so_is_one_with_which_a_final_answer_begins(tmp_path: Path) -> None:
    data = _own(tmp_path, [1], ["HALF"])
    (tmp_path / "heldout.jsonl").write_text((tmp_path / "heldout.jsonl").read_text().replace("HALF", r"\frac{1}{2}"))
    with pytest.raises(GiftError, match=r"split heldout: problem heldout-0 has the control character '\\x0c' before"):
        write_data(_config(data, **BOXED), tmp_path / "out")


class _Hub:
    """Stands in for `datasets.load_dataset`: rows as the hub has them, by (repository, split)."""

    def __init__(self, rows: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
        self.rows = rows
        self.revisions: list[str] = []

    def load_dataset(self, name: str, subset: str | None, *, split: str, revision: str) -> list[dict[str, Any]]:
        self.revisions.append(revision)
        return self.rows[name, split]


def test_the_hubs_columns_become_the_same_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = _Hub(
        {
            ("open-r1/DAPO-Math-17k-Processed", "train"): [
                {"prompt": "Find $n$.", "solution": "34", "ability": "MATH"}
            ],
            ("HuggingFaceH4/aime_2024", "train"): [{"id": 60, "problem": "Walk.", "solution": "So.", "answer": "204"}],
            ("HuggingFaceH4/MATH-500", "test"): [_math("Test.")],
            ("DigitalLearningGmbH/MATH-lighteval", "train"): [{"problem": "Two?", "solution": r"$\boxed{2}$"}],
        }
    )
    monkeypatch.setattr("datasets.load_dataset", hub.load_dataset)
    counts = write_data(_config({"source": "dapo", "sft": 5}, **_benchmarks("aime24", "math500")), tmp_path)
    assert _counts(counts) == {"rows.sft": 1, "rows.train": 1, "rows.heldout": 1}
    (problem,) = read_problems(tmp_path / "train.jsonl")
    assert (problem.id, problem.question, problem.final_answer) == ("dapo_math_17k/0", "Find $n$.", "34")
    assert [p.id for p in read_problems(tmp_path / "aime24" / "test.jsonl")] == ["60"]
    assert {len(revision) for revision in hub.revisions} == {40}


def test_a_hub_that_does_not_answer_is_named_with_the_way_out(tmp_path: Path) -> None:
    # HF_HUB_OFFLINE is set in tests/conftest.py.
    with pytest.raises(GiftError, match=r"data: openai/gsm8k@e53f\w+ can't be loaded from the hub .*GIFT_DATA_DIR"):
        write_data(_config({"source": "gsm8k"}), tmp_path)


def test_missing_folders_and_files_are_found_before_a_run(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GiftError, match=r"data folder .*nowhere does not exist"):
        check_data(_config({"source": "gsm8k", "folder": str(tmp_path / "nowhere")}))
    with pytest.raises(GiftError, match=r"has neither math500\.jsonl\.gz nor math500\.jsonl"):
        check_data(_config({"source": "gsm8k", "folder": str(folder)}, **_benchmarks("math500")))
    (folder / "gsm8k_test.jsonl").unlink()
    with pytest.raises(GiftError, match=r"has neither gsm8k_test\.jsonl\.gz nor gsm8k_test\.jsonl"):
        check_data(_config({"source": "gsm8k", "folder": str(folder)}))
    with pytest.raises(GiftError, match=r"data file a does not exist; correct data\.train_file"):
        check_data(_config({"source": "jsonl", "train_file": "a", "heldout_file": "b"}))
    with pytest.raises(
        GiftError, match=r"data file / can't be read \(it is no regular file\); correct data\.train_file"
    ):
        check_data(_config({"source": "jsonl", "train_file": "/", "heldout_file": "b"}))


def test_a_row_that_is_no_problem_is_named(math_folder: Path, tmp_path: Path) -> None:
    _rows(math_folder / "math500.jsonl", [_math("Fine."), {"problem": "No solution"}])
    with pytest.raises(GiftError, match=r"math500\.jsonl, line 2: the row has no solution"):
        write_data(_config({"source": "math", "folder": str(math_folder)}), tmp_path / "out")


def test_too_many_problems_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GiftError, match="data: "):
        write_data(_config({"source": "arithmetic", "heldout": 10**9}), tmp_path)


def test_the_identity_is_the_content_of_the_files_not_their_place(folder: Path, tmp_path: Path) -> None:
    def identity(place: Path, **changes: Any) -> str:
        return data_settings(_config({"source": "gsm8k", "folder": str(place)}, **changes))

    before = identity(folder)
    assert identity(folder, seed=5) == before
    assert identity(folder, **_benchmarks("gsm8k")) != before
    moved = folder.rename(tmp_path / "moved")
    assert identity(moved) == before
    _questions(moved / "gsm8k_train.jsonl", ["other?"])
    assert identity(moved) != before

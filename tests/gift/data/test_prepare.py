"""Every data source becomes the same files; what is missing or would spoil the benchmark is refused or left out."""

from pathlib import Path
from typing import Any

import pytest

from gift.config import Gsm8kData, data_folder, load_profile
from gift.data.prepare import check_data, data_settings, write_data
from gift.data.problems import read_problems
from gift.data.scored import read_scored
from gift.errors import GiftError
from tests.gift.data.made_up_data import (
    BOXED,
    REWARD_MODEL,
    asked,
    data_config,
    math_row,
    without_contamination,
    write_questions,
    write_rows,
)


def test_arithmetic_is_written_and_repeats(tmp_path: Path) -> None:
    data = {"source": "arithmetic", "sft": 50, "train": 20, "heldout": 10}
    counts = write_data(data_config(data), tmp_path / "one")
    assert without_contamination(counts) == {"rows.sft": 50, "rows.train": 20, "rows.heldout": 10}
    write_data(data_config(data), tmp_path / "two")
    write_data(data_config(data, seed=1), tmp_path / "three")
    one, two, three = ((tmp_path / name / "sft.jsonl").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three


def test_an_easy_part_of_gsm8k_by_the_steps_of_its_solutions(folder: Path, tmp_path: Path) -> None:
    one, two, three, none = "1\n#### 1", "1\n\n2 \n#### 2\n", "1\n2\n3\n#### 3", "#### 4"
    for split, solutions in (("train", [three, two, none, one]), ("test", [one, three])):
        rows = [{"question": f"{split} {solution}?", "answer": solution} for solution in solutions]
        write_rows(folder / f"gsm8k_{split}.jsonl", rows)
    data = {"source": "gsm8k", "folder": str(folder), "max_solution_steps": 2}
    counts = write_data(data_config(data, **asked("gsm8k")), tmp_path / "out")
    for split, kept in (("train", [two, one]), ("sft", [two, one]), ("heldout", [one])):
        problems = read_problems(tmp_path / "out" / f"{split}.jsonl")
        assert [problem.final_answer for problem in problems] == [solution.split()[-1] for solution in kept]
    assert (counts["dropped.train.no_short_solution"], counts["dropped.heldout.no_short_solution"]) == (2, 1)
    assert len(read_problems(tmp_path / "out" / "gsm8k" / "test.jsonl")) == 2  # the benchmark stays whole
    write_rows(folder / "gsm8k_test.jsonl", [{"question": "?", "answer": three}])
    with pytest.raises(GiftError, match=r"max_solution_steps: GSM8K has no solutions of at most 2 steps"):
        write_data(data_config(data), tmp_path / "none")


def test_gsm8k_from_a_folder_and_the_whole_of_it_for_lm_eval(folder: Path, tmp_path: Path) -> None:
    config = data_config({"source": "gsm8k", "folder": str(folder), "sft": 2, "heldout": 2}, **asked("gsm8k"))
    write_questions(folder / "gsm8k_test.jsonl", ["x?", "y?", "z?"])
    assert without_contamination(write_data(config, tmp_path / "out")) == {
        "rows.sft": 2,
        "rows.train": 3,
        "rows.heldout": 2,
    }
    assert len(read_problems(tmp_path / "out" / "gsm8k" / "train.jsonl")) == 3
    assert [p.question for p in read_problems(tmp_path / "out" / "gsm8k" / "test.jsonl")] == ["x?", "y?", "z?"]


def test_any_source_takes_lm_evals_benchmarks_from_the_folder(
    math_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIFT_DATA_DIR", str(math_folder))
    write_rows(math_folder / "aime24.jsonl", [{"id": "2024-I-1", "problem": "Walk.", "answer": "033"}])
    data = {"source": "arithmetic", "sft": 5, "train": 5, "heldout": 5}
    write_data(data_config(data, **asked("gsm8k", "math500", "aime24")), tmp_path)
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
    counts = write_data(data_config(data, **BOXED), tmp_path / "out")
    train = read_problems(tmp_path / "out" / "train.jsonl")
    assert [problem.question for problem in train] == questions
    assert train[1].final_answer == r"\frac{1}{2}"
    assert read_problems(tmp_path / "out" / "sft.jsonl") == train
    assert [p.id for p in read_problems(tmp_path / "out" / "heldout.jsonl")] == ["test/1.json", "test/2.json"]
    assert without_contamination(counts) == {
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
    write_rows(
        math_folder / "dapo_math_17k.jsonl",
        [
            {"problem": "Find $n$.", "answer": "34"},
            {"problem": "Walk fast.", "answer": "5"},
            {"problem": "Held out question $1+1$", "answer": "2"},  # in MATH-500
        ],
    )
    walks = [("2024-I-1", "Walk, fast!", "204"), ("2024-I-2", "Walk, slowly!", "25")]
    write_rows(
        math_folder / "aime24.jsonl", [{"id": id, "problem": problem, "answer": last} for id, problem, last in walks]
    )
    return math_folder


def test_dapo_trains_on_no_problem_of_any_benchmark_of_the_run(dapo_folder: Path, tmp_path: Path) -> None:
    data = {"source": "dapo", "folder": str(dapo_folder)}
    no_warm_up = {"sft": load_profile("local").sft.model_dump(mode="json") | {"steps": 0}}
    model = {"model": {"source": "folder", "path": "/m"}}
    counts = write_data(data_config(data, **no_warm_up, **model, **asked("aime24", "math500")), tmp_path / "out")
    assert [p.question for p in read_problems(tmp_path / "out" / "train.jsonl")] == ["Find $n$."]
    assert counts["dropped.train.contaminated"] == 2
    assert (tmp_path / "out" / "sft.jsonl").read_text() == ""
    assert [p.final_answer for p in read_problems(tmp_path / "out" / "heldout.jsonl")] == ["204", "25"]


def test_dapo_borrows_demonstrations_from_math(dapo_folder: Path, tmp_path: Path) -> None:
    data = {"source": "dapo", "folder": str(dapo_folder), "sft": 1}
    counts = write_data(data_config(data), tmp_path / "out")
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

    write_rows(
        folder / "ultrafeedback_train.jsonl",
        [row("Why?"), row("é" * 40), row("Long answer?", "y" * 99), row("How?", rejected=""), row("Held?")],
    )
    write_rows(folder / "ultrafeedback_test.jsonl", [row("Held?"), row("w" * 99)])
    return folder


def test_ultrafeedback_gives_prompts_demonstrations_and_pairs_that_fit(feedback_folder: Path, tmp_path: Path) -> None:
    limits = {"max_question_bytes": 50, "max_answer_bytes": 50}
    data = {"source": "ultrafeedback", "folder": str(feedback_folder), **limits}
    counts = write_data(data_config(data, rewards=[REWARD_MODEL], **asked("gsm8k")), tmp_path / "out")
    train = read_problems(tmp_path / "out" / "train.jsonl")
    assert [(p.question, p.answer, p.final_answer) for p in train] == [("Why?", "Yes.", ""), ("How?", "Yes.", "")]
    assert [p.question for p in read_problems(tmp_path / "out" / "heldout.jsonl")] == ["Held?"]
    (pair,) = read_scored(tmp_path / "out" / "scored.jsonl")
    assert (pair.question, pair.responses, pair.scores) == ("Why?", ("Yes.", "No."), (1.0, 0.0))
    assert counts["dropped.train.too_long"] == 2


def test_so_is_one_of_public_data(folder: Path, tmp_path: Path) -> None:
    write_questions(folder / "gsm8k_test.jsonl", ["x?", "y?"])
    (folder / "gsm8k_test.jsonl").write_text((folder / "gsm8k_test.jsonl").read_text() * 2)
    counts = write_data(data_config({"source": "gsm8k", "folder": str(folder)}), tmp_path / "out")
    assert (counts["rows.heldout"], counts["dropped.heldout.duplicates"]) == (2, 2)


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
            ("HuggingFaceH4/MATH-500", "test"): [math_row("Test.")],
            ("DigitalLearningGmbH/MATH-lighteval", "train"): [{"problem": "Two?", "solution": r"$\boxed{2}$"}],
        }
    )
    monkeypatch.setattr("datasets.load_dataset", hub.load_dataset)
    counts = write_data(data_config({"source": "dapo", "sft": 5}, **asked("aime24", "math500")), tmp_path)
    assert without_contamination(counts) == {"rows.sft": 1, "rows.train": 1, "rows.heldout": 1}
    (problem,) = read_problems(tmp_path / "train.jsonl")
    assert (problem.id, problem.question, problem.final_answer) == ("dapo_math_17k/0", "Find $n$.", "34")
    assert [p.id for p in read_problems(tmp_path / "aime24" / "test.jsonl")] == ["60"]
    assert {len(revision) for revision in hub.revisions} == {40}


def test_a_hub_that_does_not_answer_is_named_with_the_way_out(tmp_path: Path) -> None:
    # HF_HUB_OFFLINE is set in tests/conftest.py.
    with pytest.raises(GiftError, match=r"data: openai/gsm8k@e53f\w+ can't be loaded from the hub .*GIFT_DATA_DIR"):
        write_data(data_config({"source": "gsm8k"}), tmp_path)


def test_missing_folders_and_files_are_found_before_a_run(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GiftError, match=r"data folder .*nowhere does not exist"):
        check_data(data_config({"source": "gsm8k", "folder": str(tmp_path / "nowhere")}))
    with pytest.raises(GiftError, match=r"has neither math500\.jsonl\.gz nor math500\.jsonl"):
        check_data(data_config({"source": "gsm8k", "folder": str(folder)}, **asked("math500")))
    (folder / "gsm8k_test.jsonl").unlink()
    with pytest.raises(GiftError, match=r"has neither gsm8k_test\.jsonl\.gz nor gsm8k_test\.jsonl"):
        check_data(data_config({"source": "gsm8k", "folder": str(folder)}))
    with pytest.raises(GiftError, match=r"data file a does not exist; correct data\.train_file"):
        check_data(data_config({"source": "jsonl", "train_file": "a", "heldout_file": "b"}))
    with pytest.raises(
        GiftError, match=r"data file / can't be read \(it is no regular file\); correct data\.train_file"
    ):
        check_data(data_config({"source": "jsonl", "train_file": "/", "heldout_file": "b"}))


def test_a_row_that_is_no_problem_is_named(math_folder: Path, tmp_path: Path) -> None:
    write_rows(math_folder / "math500.jsonl", [math_row("Fine."), {"problem": "No solution"}])
    with pytest.raises(GiftError, match=r"math500\.jsonl, line 2: the row has no solution"):
        write_data(data_config({"source": "math", "folder": str(math_folder)}), tmp_path / "out")


def test_too_many_problems_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GiftError, match="data: "):
        write_data(data_config({"source": "arithmetic", "heldout": 10**9}), tmp_path)


def test_the_identity_is_the_content_of_the_files_not_their_place(folder: Path, tmp_path: Path) -> None:
    def identity(place: Path, **changes: Any) -> str:
        return data_settings(data_config({"source": "gsm8k", "folder": str(place)}, **changes))

    before = identity(folder)
    assert identity(folder, seed=5) == before
    assert identity(folder, **asked("gsm8k")) != before
    moved = folder.rename(tmp_path / "moved")
    assert identity(moved) == before
    write_questions(moved / "gsm8k_train.jsonl", ["other?"])
    assert identity(moved) != before

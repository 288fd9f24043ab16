"""What a model knows of a benchmark by heart: it gets the bare beginning of a problem, and must go on word by word."""

from pathlib import Path
from typing import Any

import pytest
from rote_model import KEYS, PROMPT, evaluate_with_answers, evaluation, no_progress, says

from gift.config import load_profile
from gift.data.problems import Problem, write_problems
from gift.errors import GiftError
from gift.evaluation.language_model import LanguageModel
from gift.evaluation.partial import completion_marks, partial_problem
from gift.stages.evaluate import evaluation_output

PARTIAL = {"task": "heldout_partial", "max_new_tokens": 8}


@pytest.mark.parametrize(
    ("question", "given", "rest"),
    [
        ("Which key opens the old box 3?", "Which key opens the", "old box 3?"),
        ("Which  key\nopens the\tbox?", "Which  key\nopens", "the\tbox?"),
        ("One two three four five", "One two three", "four five"),
        ("Why not?", "Why", "not?"),
        ("Why?", "Why?", ""),
        ("", "", ""),
    ],
)
def test_sixty_percent_of_the_words_are_given_as_they_are(question: str, given: str, rest: str) -> None:
    asked = partial_problem(Problem("p", question, "so", "7"))
    assert (asked.id, asked.question, asked.final_answer) == ("p", given, rest)


@pytest.mark.parametrize(
    ("completion", "rest", "right"),
    [
        (" box 3?", "box 3?", True),
        ("\nbox  3? It is this.", "box 3?", True),
        (" box 31?", "box 3?", False),
        (" box 3", "box 3?", False),
        (" Box 3?", "box 3?", False),
        (" the box 3?", "box 3?", False),
        ("", "box 3?", False),
        ("", "", False),
        ("anything", "", False),
    ],
)
def test_a_problem_is_completed_by_all_of_its_words(completion: str, rest: str, right: bool) -> None:
    (mark,) = completion_marks([completion], rest)
    assert mark.right is right


def test_the_share_of_completed_problems_is_a_result_whose_answers_are_kept(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_problems(tmp_path / "heldout.jsonl", KEYS)
    asked: list[str] = []

    def answer(_: LanguageModel, requests: Any) -> list[str]:
        texts = [request.args[0] for request in requests]
        asked.extend(texts)
        rests = [key.question[len(text) :] for key, text in zip(KEYS, texts, strict=True)]
        return [*rests[:3], *("???" for _ in rests[3:])]

    says(monkeypatch, answer)
    both = evaluation({"task": "heldout", "max_new_tokens": 8}, PARTIAL)
    results, answers = evaluate_with_answers(model, tmp_path, both, 0, no_progress)
    found, kept = results["heldout_partial"], [one for one in answers if one.benchmark == "heldout_partial"]
    assert asked[:8] == [PROMPT.format(question=key.question) for key in KEYS]
    assert asked[8:] == [partial_problem(key).question for key in KEYS]
    assert [one.prompt for one in kept] == [partial_problem(key).question for key in KEYS]
    assert [one.reference for one in kept] == [partial_problem(key).final_answer for key in KEYS]
    assert found.correct == (1.0,) * 3 + (0.0,) * 5
    assert found.accuracy == 3 / 8
    assert found.settings.asked_in == "plain text"


def test_a_model_completes_what_it_has_learnt_and_nothing_else(model: Path, tmp_path: Path) -> None:
    """The rote model learnt its lessons with their prompt, which is a part of what it is given here."""
    learnt = [Problem(key.id, PROMPT.format(question=key.question), "", "") for key in KEYS]
    strange = [Problem(f"new/{i}", f"Who was the {i}th of all the kings of this land?", "", "") for i in range(4)]
    write_problems(tmp_path / "heldout.jsonl", [*learnt, *strange])
    long_enough = PARTIAL | {"max_new_tokens": 24}
    results, _ = evaluate_with_answers(model, tmp_path, evaluation(long_enough), 0, no_progress)
    correct = results["heldout_partial"].correct
    assert sum(correct[:8]) > 0
    assert sum(correct[8:]) == 0


def test_only_the_base_model_is_asked() -> None:
    plain = load_profile("local")
    probing = load_profile("local", ("evaluation.benchmarks.1={task: gsm8k_partial, max_new_tokens: 8}",))
    tasks = [[one.task for one in probing.evaluation.of_model(base=base).benchmarks] for base in (True, False)]
    assert tasks == [["heldout", "gsm8k_partial"], ["heldout"]]
    assert plain.evaluation.of_model(base=False) == plain.evaluation

    base, other = (evaluation_output(probing, "", "", base=base).settings for base in (True, False))
    assert base != other


def test_the_gate_can_not_decide_by_it() -> None:
    both = "evaluation.benchmarks=[{task: heldout}, {task: heldout_partial}]"
    with pytest.raises(GiftError, match="heldout_partial asks the base model alone"):
        load_profile("local", (both, "gate.benchmarks=[{benchmark: heldout_partial, at_least: 0.0}]"))

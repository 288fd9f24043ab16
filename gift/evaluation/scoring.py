"""The score of one problem in this project's tasks, by the judge that the rewards ask, too.

lm-eval calls it with a document and the completions of all repeats. What could not be judged counts as wrong here, and
how often that happened is a score of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from gift.config import AnswerFormat, digest_of
from gift.judge.answers import final_answer, number_after_mark, states_number
from gift.judge.judge import Judge

Completions = list[list[str]]
"""One list: the completions of all repeats."""
Score = Callable[[dict[str, Any], Completions], dict[str, float]]


@dataclass(frozen=True)
class Mark:
    """What was found in one completion."""

    answer: str | None
    """The final answer, as text; None for none."""
    right: bool | None
    """None where the judge came to no verdict."""


Marking = Callable[[list[str], str], list[Mark]]
"""(completions of a problem, what is right) → one mark for each."""


def marks_of(judge: Judge, answers: AnswerFormat, completions: list[str], reference: str) -> list[Mark]:
    """One for each completion; a number after `####` is compared as text."""
    if answers == "gsm8k":
        return [Mark(number_after_mark(text), states_number(text, reference)) for text in completions]
    verdicts = judge.verdicts([(text, reference) for text in completions], [answers])
    found = [final_answer(text, [answers]) for text in completions]
    return [Mark(answer, right) for answer, right in zip(found, verdicts, strict=True)]


def marks_key(problem: dict[str, Any], results: Completions) -> str:
    """Under which the marks of these completions are kept: what decides them, as ids need not be unique."""
    return digest_of(problem["final_answer"], results[0])


def share_of_right_answers(marked: Marking, marks: dict[str, list[Mark]]) -> Score:
    """A score: the share of the completions that are marked as right; `marks` keeps them, by `marks_key`."""

    def score(problem: dict[str, Any], results: Completions) -> dict[str, float]:
        key = marks_key(problem, results)
        if key not in marks:
            marks[key] = marked(results[0], problem["final_answer"])
        found = marks[key]
        return {
            "exact_match": fmean(float(mark.right is True) for mark in found),
            "unjudged": fmean(float(mark.right is None) for mark in found),
        }

    return score

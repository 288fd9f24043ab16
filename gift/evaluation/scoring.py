"""The score of one problem in the `heldout` tasks, by the judge that the rewards ask, too.

lm-eval calls one of these with a document and the completions of all repeats. What could not be judged counts as wrong
here, and how often that happened is a score of its own.
"""

from collections.abc import Callable
from statistics import fmean
from typing import Any

from gift.config import AnswerFormat
from gift.judge.answers import states_number
from gift.judge.judge import Judge

Completions = list[list[str]]
"""One list: the completions of all repeats."""
Score = Callable[[dict[str, Any], Completions], dict[str, float]]


def marked_number(problem: dict[str, Any], results: Completions) -> dict[str, float]:
    """The share of the completions whose number after `####` is the final answer, as text."""
    right = [states_number(completion, problem["final_answer"]) for completion in results[0]]
    return {"exact_match": fmean(map(float, right)), "unjudged": 0.0}


def judged_answer(judge: Judge, answers: AnswerFormat) -> Score:
    """A score: the share of the completions whose final answer the judge finds equal to the problem's."""

    def score(problem: dict[str, Any], results: Completions) -> dict[str, float]:
        verdicts = judge.verdicts([(completion, problem["final_answer"]) for completion in results[0]], [answers])
        return {
            "exact_match": fmean(float(verdict is True) for verdict in verdicts),
            "unjudged": fmean(float(verdict is None) for verdict in verdicts),
        }

    return score

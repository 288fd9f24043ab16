r"""The score of one problem in the `heldout` tasks; lm-eval calls one of these through `!function` in their YAML.

They look for the answer themselves, and ask math-verify as lm-eval's MATH tasks do, rather than the reward of training,
so that an error in the reward cannot certify itself; only what makes two texts the same answer is theirs and the
reward's (`gift.data.answers`), so that the two agree. math-verify stops an answer that takes it longer than five
seconds, which then counts as wrong; that works in the main thread only.
"""

import re
from collections.abc import Callable
from statistics import fmean
from typing import Any

from math_verify import parse, verify

from gift.config import AnswerFormat
from gift.data.answers import clean_answer, final_answer, normalise_number

_MARKED_NUMBER = re.compile(r"#### (\-?[0-9\.\,]+)")  # gsm8k's strict-match; the first one counts
_ANSWER_LINE = re.compile(r"(?i)answer\s*:\s*([^\n]+)")  # the last one counts

Completions = list[list[str]]
"""One list: the completions of all repeats."""


def marked_number(problem: dict[str, Any], results: Completions) -> dict[str, float]:
    """The share of the completions whose number after `####` is the final answer, as text."""
    gold = normalise_number(problem["final_answer"])
    found = [_MARKED_NUMBER.search(completion) for completion in results[0]]
    answers = [normalise_number(match.group(1)) if match else "" for match in found]
    return {"exact_match": fmean(float(answer == gold != "") for answer in answers)}


def boxed_answer(problem: dict[str, Any], results: Completions) -> dict[str, float]:
    r"""The share of the completions whose last `\boxed{}` equals the final answer."""
    return _share_equal(
        problem, results, "boxed", lambda text: text[text.rfind(r"\boxed") :] if r"\boxed" in text else None
    )


def answer_line(problem: dict[str, Any], results: Completions) -> dict[str, float]:
    """The share of the completions whose last `Answer:` is followed by the final answer."""
    return _share_equal(problem, results, "answer", lambda text: next(reversed(_ANSWER_LINE.findall(text)), None))


def _share_equal(
    problem: dict[str, Any],
    results: Completions,
    answer_format: AnswerFormat,
    stated: Callable[[str], str | None],
) -> dict[str, float]:
    gold = parse(rf"\boxed{{{problem['final_answer']}}}")

    def equal(completion: str) -> bool:
        # math-verify finds no mathematics in some answers (`yes`); the same text is the same answer.
        if final_answer(completion, [answer_format]) == clean_answer(problem["final_answer"]):
            return True
        answer = stated(completion)
        return answer is not None and bool(verify(gold, parse(answer)))

    return {"exact_match": fmean(float(equal(completion)) for completion in results[0])}

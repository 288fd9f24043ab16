"""What the training of the policy changed, problem by problem: the SFT model's answers beside the candidate's.

A report keeps some of each kind, those that changed most first, and counts all. Left out: every other answer, which
`answers.parquet` of the evaluations has, and the middle of long ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from gift.evaluation.answers import Answer
from gift.report.schema import AnsweredTwice, Change, GivenAnswer

KEPT: Mapping[Change, int] = {"better": 25, "worse": 25, "same": 5}
"""Problems of each benchmark: with `LONGEST_TEXT` at most some 250 kB."""
LONGEST_TEXT = 1500
"""Characters of a question or an answer."""
_END = 500
"""Of them after what was left out: an answer ends in what is judged."""

Answers = Mapping[str, Mapping[str, Sequence[Answer]]]
"""Benchmark → problem → its answers."""


def changed_answers(sft: Answers, candidate: Answers) -> tuple[tuple[AnsweredTwice, ...], dict[str, dict[Change, int]]]:
    """The problems to show, and benchmark → change → number of problems, of what both models were asked."""
    shown: list[AnsweredTwice] = []
    counts: dict[str, dict[Change, int]] = {}
    for benchmark, after in candidate.items():
        if found := sorted(_pairs(sft.get(benchmark, {}), after), key=_change_in_score, reverse=True):
            by_change = {change: [pair for pair in found if pair.change == change] for change in KEPT}
            counts[benchmark] = {change: len(pairs) for change, pairs in by_change.items()}
            shown += [pair for change, pairs in by_change.items() for pair in pairs[: KEPT[change]]]
    return tuple(shown), counts


def _change_in_score(pair: AnsweredTwice) -> float:
    return abs(pair.candidate.score - pair.sft.score)


def _pairs(before: Mapping[str, Sequence[Answer]], after: Mapping[str, Sequence[Answer]]) -> Iterator[AnsweredTwice]:
    for problem, answers in after.items():
        if problem in before:
            yield _pair(before[problem], answers)


def _pair(before: Sequence[Answer], after: Sequence[Answer]) -> AnsweredTwice:
    """Of several answers to a problem, those that show the change: a wrong one, and a right one."""
    gained = _score(after) - _score(before)
    change: Change = "better" if gained > 0 else "worse" if gained < 0 else "same"
    return AnsweredTwice(
        benchmark=after[0].benchmark,
        change=change,
        question=_shortened(after[0].question),
        reference=_shortened(after[0].reference),
        sft=_given(before, wanted=-gained),
        candidate=_given(after, wanted=gained),
    )


def _given(answers: Sequence[Answer], wanted: float) -> GivenAnswer:
    """`wanted`: above 0 the best of the answers, below 0 the worst, and 0 the first."""
    shown = max(answers, key=lambda answer: wanted * answer.score)
    return GivenAnswer(
        text=_shortened(shown.completion.strip()),
        answer=None if shown.answer is None else _shortened(shown.answer),
        score=_score(answers),
        samples=len(answers),
    )


def _score(answers: Sequence[Answer]) -> float:
    return fmean(answer.score for answer in answers)


def _shortened(text: str) -> str:
    if len(text) <= LONGEST_TEXT:
        return text
    begin = LONGEST_TEXT - _END
    return f"{text[:begin]}\n[… {len(text) - LONGEST_TEXT:,} characters left out …]\n{text[-_END:]}"

"""What the same answers to a problem say besides their mean: pass@k, maj@k, truncation, missing answers, length.

    avg@k    the share of a problem's answers that are right: `BenchmarkResult.correct`
    pass@k   1 − C(n − c, k) / C(n, k), with c of n answers right: the chance that one of k is, without bias
             (Chen et al. 2021, arXiv 2107.03374)
    maj@k    whether the answer that most of k agree on is right (Wang et al. 2022, arXiv 2203.11171): the mean over the
             groups of k that the n answers make, in their order, each an independent draw; without bias

All are means over problems, with their standard errors: answers to one problem are not independent.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from gift.evaluation.answers import Answer
from gift.evaluation.statistics import mean_and_stderr

RIGHT = object()
"""Stands for all answers that are right, however they are written."""


def pass_at_k(right: int, answers: int, k: int) -> float:
    """The chance that at least one of `k` answers, drawn from `answers` of which `right` are right, is right.

    Raises:
        ValueError: `k` is no number of answers that there are.
    """
    if not 1 <= k <= answers or not 0 <= right <= answers:
        raise ValueError(f"{k} of {answers} answers, {right} of them right")
    return 1.0 - math.comb(answers - right, k) / math.comb(answers, k)


def majority_is_right(answers: Sequence[Answer]) -> float:
    """1 where the most frequent final answer is right, 0 where it is not, and a share where some are as frequent.

    Wrong answers are the same where they are written the same. What has no final answer has no vote.
    """
    votes = Counter(RIGHT if answer.score == 1.0 else answer.answer for answer in answers if _votes(answer))
    most = max(votes.values(), default=0)
    winners = [choice for choice, count in votes.items() if count == most]
    return winners.count(RIGHT) / len(winners) if winners else 0.0


def _votes(answer: Answer) -> bool:
    return answer.score == 1.0 or answer.answer is not None


def sampled_metrics(problems: Mapping[str, Sequence[Answer]]) -> dict[str, float]:
    """Name → value of everything above for one benchmark, from the answers to each problem (as many for all)."""
    everything = [answer for answers in problems.values() for answer in answers]
    metrics = {
        "truncated": fmean(float(answer.truncated) for answer in everything),
        "no_answer": fmean(float(answer.answer is None) for answer in everything),
        "mean_completion_tokens": fmean(float(answer.tokens) for answer in everything),
    }
    samples = len(next(iter(problems.values())))
    if samples == 1:
        return metrics
    for k in powers_of_two(samples):
        shares = [pass_at_k(_right(answers), len(answers), k) for answers in problems.values()]
        metrics |= _with_error(f"pass@{k}", shares)
        if k > 1:
            metrics |= _with_error(f"maj@{k}", [_majority_at_k(answers, k) for answers in problems.values()])
    return metrics


def _majority_at_k(answers: Sequence[Answer], k: int) -> float:
    return fmean(majority_is_right(answers[start : start + k]) for start in range(0, len(answers) - k + 1, k))


def powers_of_two(most: int) -> list[int]:
    """1, 2, 4, … and `most` itself."""
    return sorted({2**power for power in range(most.bit_length())} | {most})


def _right(answers: Iterable[Answer]) -> int:
    return sum(answer.score == 1.0 for answer in answers)


def _with_error(name: str, values: Sequence[float]) -> dict[str, float]:
    mean, stderr = mean_and_stderr(values)
    return {name: mean, f"{name}_stderr": stderr}

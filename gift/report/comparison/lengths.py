"""Answers by their length: who answers longer, whether longer answers are better, and who is better at equal length.

Lengths are cut where they cut all answers of the experiment into five equal parts, so that the parts mean the same for
every variant. At equal length, a variant's accuracy in each part counts as often as the baseline's answers lie in it,
as if its answers had been sampled to match the baseline's in length; parts that one of them never reaches are left out.

Left out: the difficulty of a problem, which decides length and accuracy alike. Only the comparison of the longer with
the shorter answers to the same problem is free of it.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from statistics import fmean, quantiles
from typing import TYPE_CHECKING

from gift.report.comparison.schema import AnswersByLength, LengthResult
from gift.report.comparison.statistics import difference_by_seed, estimate

if TYPE_CHECKING:
    from gift.evaluation.answers import Answer

PARTS = 5
BySeed = Sequence[Sequence["Answer"]]
"""One model's answers with each seed."""


def answers_by_length(start: BySeed, variants: Mapping[str, BySeed], baseline: str) -> AnswersByLength | None:
    """Of one benchmark; None where there are no answers, as of tasks that ask for likelihoods.

    Args:
        start: the model that all variants started from.
        baseline: the variant that the others are compared with.
    """
    tokens = [answer.tokens for model in (start, *variants.values()) for answers in model for answer in answers]
    if len(tokens) < 2:
        return None
    ends = _ends(tokens)
    return AnswersByLength(
        ends=ends,
        start=_result(start, ends, variants[baseline]),
        variants={
            name: _result(answers, ends, variants[baseline] if name != baseline else None)
            for name, answers in variants.items()
        },
    )


def _ends(tokens: Sequence[int]) -> tuple[int, ...]:
    """The largest length of every part but the last, which has no end; fewer parts where many lengths are the same."""
    cuts = sorted({int(cut) for cut in quantiles(tokens, n=PARTS, method="inclusive")})
    return tuple(cut for cut in cuts if cut < max(tokens))


def _result(answers: BySeed, ends: Sequence[int], baseline: BySeed | None) -> LengthResult:
    parts = [_parts(of_seed, ends) for of_seed in answers]
    places = range(len(ends) + 1)
    matched = None
    if baseline is not None:
        pairs = [_matched(own, _parts(other, ends)) for own, other in zip(parts, baseline, strict=True)]
        matched = difference_by_seed(*zip(*pairs, strict=True))
    return LengthResult(
        tokens=estimate([_mean(answer.tokens for answer in of_seed) for of_seed in answers]),
        longer=estimate([_longer_minus_shorter(of_seed) for of_seed in answers]),
        matched=matched,
        shares=tuple(
            estimate([len(of_seed[place]) / max(1, sum(map(len, of_seed))) for of_seed in parts]) for place in places
        ),
        accuracies=tuple(estimate([_mean(of_seed[place]) for of_seed in parts]) for place in places),
    )


def _parts(answers: Iterable["Answer"], ends: Sequence[int]) -> list[list[float]]:
    """The scores of the answers of each length."""
    parts: list[list[float]] = [[] for _ in range(len(ends) + 1)]
    for answer in answers:
        parts[bisect_left(ends, answer.tokens)].append(answer.score)
    return parts


def _matched(own: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> tuple[float | None, float | None]:
    """Both accuracies with the other's lengths, where both have answers."""
    both = [(fmean(a), fmean(b), len(b)) for a, b in zip(own, other, strict=True) if a and b]
    if not both:
        return None, None
    first, second, weights = zip(*both, strict=True)
    return fmean(first, weights), fmean(second, weights)


def _longer_minus_shorter(answers: Iterable["Answer"]) -> float | None:
    """Mean over the problems that have answers of unequal length, each the mean over its pairs of such answers."""
    problems: defaultdict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        problems[answer.problem].append(answer)
    differences = []
    for of_problem in problems.values():
        pairs = combinations(sorted(of_problem, key=lambda answer: answer.tokens), 2)
        found = [longer.score - shorter.score for shorter, longer in pairs if longer.tokens > shorter.tokens]
        differences += [fmean(found)] if found else []
    return _mean(differences)


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return fmean(found) if found else None

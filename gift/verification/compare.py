"""Two reports side by side: on the same problems problem by problem, otherwise by their two standard errors.

Left out: more than two, and which is better; a candidate is compared with the champion by the gate.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gift.errors import GiftError
from gift.evaluation.results import BenchmarkResult
from gift.gate.paired import paired_difference
from gift.report.schema import ModelName, Report, Score
from gift.verification.stored import stored_evaluation

SIDES = 1.96
"""Standard errors on each side of a 95 % interval of two independent means."""


@dataclass(frozen=True)
class ScoreBeside:
    """A model's score on a benchmark in two reports."""

    model: ModelName
    benchmark: str
    first: Score
    second: Score
    difference: float
    low: float
    high: float
    """second − first, with its 95 % interval."""
    paired: bool
    """Problem by problem; else as if the problems were others."""
    moved: int | None
    """Problems that score otherwise; None where they are not the same ones."""


def reports_beside(first: Report, second: Report) -> Iterator[ScoreBeside]:
    """Every benchmark that both reports have of a model. The store is asked for the scores of single problems, and
    where it does not have them, the reports' own numbers are compared.
    """
    for model, scores in first.models.items():
        for benchmark, one in scores.items():
            other = second.models.get(model, {}).get(benchmark)
            if other is not None:
                yield _beside(model, benchmark, one, other, _results(first, second, model, benchmark))


def _results(
    first: Report, second: Report, model: ModelName, benchmark: str
) -> tuple[BenchmarkResult, BenchmarkResult] | None:
    try:
        one, other = (stored_evaluation(report, model).results[benchmark] for report in (first, second))
    except (GiftError, KeyError):
        return None
    return (one, other) if one.ids == other.ids else None


def _beside(
    model: ModelName,
    benchmark: str,
    first: Score,
    second: Score,
    results: tuple[BenchmarkResult, BenchmarkResult] | None,
) -> ScoreBeside:
    if results is not None:
        one, other = results
        found = paired_difference(other, one)
        moved = sum(a != b for a, b in zip(one.correct, other.correct, strict=True))
        return ScoreBeside(model, benchmark, first, second, found.mean, found.low, found.high, True, moved)
    difference = second.accuracy - first.accuracy
    reach = SIDES * math.hypot(first.stderr, second.stderr)
    return ScoreBeside(model, benchmark, first, second, difference, difference - reach, difference + reach, False, None)

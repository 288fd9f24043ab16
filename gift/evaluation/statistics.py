"""The statistics behind the report and the gate: standard errors over problems, and paired differences.

Source: Evan Miller, "Adding Error Bars to Evals: A Statistical Approach to Language Model Evaluations" (2024,
arXiv 2411.00640): standard errors of a mean over problems by the central limit theorem, clustered standard errors,
and the analysis of paired differences.

Left out: bootstrap and exact tests. With hundreds of problems the normal approximation serves as well.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

from pydantic import BaseModel, ConfigDict

from gift.errors import GiftError
from gift.evaluation.results import BenchmarkResult


class PairedDifference(BaseModel):
    """The mean of a − b over the same problems, with its standard error."""

    model_config = ConfigDict(frozen=True)

    mean: float
    stderr: float
    z: float | None
    """mean / stderr; None when every difference is the same, i.e. stderr is 0."""
    n: int


def mean_and_stderr(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and its standard error s / sqrt(n) with the unbiased variance (ddof 1).

    For several samples per problem, pass each problem's mean: samples of one problem are not independent, and this is
    the cluster-robust standard error when all clusters have the same size (Miller 2024).

    Raises:
        GiftError: fewer than two values have no standard error.
    """
    if len(values) < 2:
        raise GiftError(f"a standard error needs at least 2 problems, got {len(values)}; raise the benchmark's limit")
    return fmean(values), stdev(values) / math.sqrt(len(values))


def paired_difference(a: BenchmarkResult, b: BenchmarkResult) -> PairedDifference:
    """Compare two models problem by problem.

    Which problems are hard is common to both, so the differences vary less than the scores: Var(a − b) =
    Var(a) + Var(b) − 2 Cov(a, b) (Miller 2024). The difference of two separate means has no such term.

    Raises:
        GiftError: the two were not evaluated on the same problems in the same order.
    """
    if a.ids != b.ids:
        raise GiftError(
            f"{a.task} ({a.n} problems) and {b.task} ({b.n} problems) were not evaluated on the same problems; "
            "evaluate both models on the same benchmark files with the same limit"
        )
    mean, stderr = mean_and_stderr([x - y for x, y in zip(a.correct, b.correct, strict=True)])
    return PairedDifference(mean=mean, stderr=stderr, z=mean / stderr if stderr > 0 else None, n=a.n)


def confidence_interval(mean: float, stderr: float, confidence: float = 0.95) -> tuple[float, float]:
    """The two-sided normal interval mean ± z · stderr (Miller 2024)."""
    margin = NormalDist().inv_cdf((1 + confidence) / 2) * stderr
    return mean - margin, mean + margin

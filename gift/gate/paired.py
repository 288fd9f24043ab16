"""Two models compared problem by problem: differences with their standard errors, bounds and tests, and Holm's
correction for several tests.

Sources: Evan Miller, "Adding Error Bars to Evals: A Statistical Approach to Language Model Evaluations" (2024,
arXiv 2411.00640) for clusters and paired differences. Norbert Gaffke, "Three test
statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative variable" (2005, Mathematical Methods
of Statistics 14), and Learned-Miller and Thomas, "A New Confidence Interval for the Mean of a Bounded Random Variable"
(2019, arXiv 1905.06208), for the bounds. Sture Holm, "A Simple Sequentially Rejective Multiple
Test Procedure" (1979, Scandinavian Journal of Statistics 6).

Left out: normal and Student's t intervals. They call 30 problems without a loss proof that there is none.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from gift.errors import GiftError
from gift.evaluation.results import BenchmarkResult
from gift.evaluation.statistics import mean_and_stderr

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INTERVAL_CONFIDENCE = 0.95
"""Level of the two-sided intervals in reports; the gate has its own level, and only one side."""

_BISECTIONS = 24
# The integral below: its range in standard deviations grows as the step falls, its precision with the number of terms.
_STEP, _TERMS = 0.2, 1000
_CERTAIN = 15.0


class PairedDifference(BaseModel):
    """The mean of a − b over the same problems, with its standard error and its interval."""

    model_config = ConfigDict(frozen=True)

    mean: float
    stderr: float
    z: float | None
    """mean / stderr; None when every difference is the same, i.e. stderr is 0. Nothing is decided by it."""
    n: int
    low: float = -1.0
    """`low` to `high` is the two-sided interval at `INTERVAL_CONFIDENCE`; the whole range in a verdict without it."""
    high: float = 1.0


def differences(a: BenchmarkResult, b: BenchmarkResult) -> list[float]:
    """a − b for each problem, in [-1, 1].

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
    return [x - y for x, y in zip(a.correct, b.correct, strict=True)]


def paired_difference(a: BenchmarkResult, b: BenchmarkResult) -> PairedDifference:
    """Compare two models problem by problem; raises as `differences`."""
    gained = differences(a, b)
    mean, stderr = mean_and_stderr(gained)
    one_sided = (1 + INTERVAL_CONFIDENCE) / 2
    return PairedDifference(
        mean=mean,
        stderr=stderr,
        z=mean / stderr if stderr > 0 else None,
        n=a.n,
        low=lower_bound(gained, one_sided),
        high=-lower_bound([-x for x in gained], one_sided),
    )


def lower_bound(values: Sequence[float], confidence: float) -> float:
    """The mean behind independent `values` in [-1, 1] is at least this, at a one-sided level of confidence.

    Gaffke's bound, here for the range [-1, 1]: one more value, the worst possible, is added, and the n + 1 are weighted
    at random, all weights that sum to 1 being equally likely (a Dirichlet distribution); the bound is the quantile
    1 − confidence of the weighted mean. Nothing is assumed about the shape of the distribution.

    - Of differences in {-1, 0, 1} the bound is above 0 exactly when the sign test (exact McNemar) rejects.
    - Of two values, -1 and 1, it is the bound of Clopper and Pearson.
    - n values that are all 0 give (1 − confidence)^(1/n) − 1, the "rule of three": -9.5 points for 30 problems.

    That it holds at every n and for every distribution is a conjecture without a known counterexample; the tests
    compute the exact error rate for 30 problems that differ by -1, 0 or 1. Student's t is wrong there up to 54 % of the
    time at a level of 5 %: where the candidate loses 2 % of all problems and the gate allows just that.
    """
    import numpy as np  # where it is used: a stage that only reads a verdict need not wait for it

    distinct, counts = np.unique([*values, -1.0], return_counts=True)
    low, high = -1.0, float(distinct[-1])
    for _ in range(_BISECTIONS if low < high else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if _share_below(middle, distinct, counts) <= 1 - confidence else (low, middle)
    return low


def p_value(values: Sequence[float], least: float) -> float:
    """Of the test that the mean behind independent `values` in [-1, 1] is above `least`, in (-1, 1].

    It belongs to `lower_bound`: the p-value is at most 1 − confidence exactly where that bound is `least` or above. So
    of differences in {-1, 0, 1} and `least` 0 it is the sign test's, however few problems there are.
    """
    import numpy as np

    distinct, counts = np.unique([*values, -1.0], return_counts=True)
    return min(1.0, max(0.0, _share_below(least, distinct, counts)))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of a family of tests, each adjusted so that it may be held against the level of the whole family.

    Whatever the tests have in common: the chance that one or more of the true hypotheses is rejected stays below the
    level (Holm 1979). The smallest p-value is multiplied by the number of tests, the next by one less, and so on; none
    is below the one before it.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, largest = [0.0] * len(order), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _share_below(mean: float, values: "NDArray[np.float64]", counts: "NDArray[np.intp]") -> float:
    """How likely a randomly weighted mean of `values` (K,), each there `counts` (K,) times, is at most `mean`.

    Dirichlet weights are exponential variables over their sum, so this is P(Q ≤ 0) for a sum Q of gamma variables with
    the scales `values − mean`, which the inversion of its characteristic function gives (Imhof 1961, Biometrika 48;
    the trapezoidal rule of Davies 1980, Applied Statistics 29), here to four digits and more.
    """
    import numpy as np

    scales = values - mean
    deviation = math.sqrt(counts @ scales**2)
    if abs(counts @ scales) > _CERTAIN * deviation:
        return 0.0 if counts @ scales > 0 else 1.0
    halves = np.arange(_TERMS) + 0.5
    points = np.outer(halves * _STEP / deviation, scales)  # (terms, K)
    phase = np.arctan(points) @ counts
    decay = np.exp(-0.5 * np.log1p(points**2) @ counts)
    return 0.5 - float(np.sum(np.sin(phase) * decay / halves)) / math.pi

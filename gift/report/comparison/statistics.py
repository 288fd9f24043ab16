"""Statistics over seeds: Student's t, because there are few of them.

A seed stands for new data, a new SFT model and new samples, so the intervals say what another seed would have given.
The standard errors over problems, which the report of one run shows, are another matter and not in here.

Left out: corrections for many comparisons; whoever reads twenty intervals should expect one of them to miss.
"""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from scipy.special import stdtrit  # scipy.stats, which has the same under another name, takes seconds to load

from gift.report.comparison.schema import Estimate

CONFIDENCE = 0.95
LARGEST = 1e300
"""MLflow stores ±inf as ±1.8e308, so what is beyond this counts as not finite."""


def estimate(values: Sequence[float | None]) -> Estimate:
    """Mean over the seeds that have a finite value, with mean ± t · s / √n where there are two or more."""
    kept = tuple(value if value is not None and abs(value) < LARGEST else None for value in values)
    finite = [value for value in kept if value is not None]
    if not finite:
        return Estimate(values=kept, mean=None, low=None, high=None)
    mean = fmean(finite)
    if len(finite) < 2:
        return Estimate(values=kept, mean=mean, low=None, high=None)
    quantile = float(stdtrit(len(finite) - 1, (1 + CONFIDENCE) / 2))
    margin = quantile * stdev(finite) / math.sqrt(len(finite))
    return Estimate(values=kept, mean=mean, low=mean - margin, high=mean + margin)


def difference_by_seed(a: Sequence[float | None], b: Sequence[float | None]) -> Estimate:
    """a − b, seed by seed: a seed that is easy is easy for both, so the differences vary less than the values."""
    pairs = zip(a, b, strict=True)
    return estimate([None if x is None or y is None else x - y for x, y in pairs])

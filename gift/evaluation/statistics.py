"""The standard error of a mean over problems. Differences of two models are `gift.gate.paired`'s.

Source: Evan Miller, "Adding Error Bars to Evals: A Statistical Approach to Language Model Evaluations" (2024,
arXiv 2411.00640).
"""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from gift.errors import GiftError


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

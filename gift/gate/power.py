"""How small a difference the gate's benchmarks can show, which can be known before anything is trained.

    problems, margin, level ──> which outcomes the gate's test takes for proof ──> how often a true difference gives one

The chances are exact, for answers that are right or wrong. How many problems two models answer differently is assumed
(`DIFFERING`), and so is the level, the strictest that Holm's correction may ask. Several samples of a problem count as
one, so that a sampled benchmark can show somewhat smaller differences than said here.

Left out: what a training will gain; nobody knows.
"""

import bisect
import functools
import math
from collections.abc import Iterator

from gift.config import RunConfig
from gift.data.prepare import problems_asked
from gift.gate.paired import p_value

POWER = 0.8
"""How often what is there should be shown."""
DIFFERING = 0.2
"""The share of problems that two models answer differently, or as much as a larger difference between them needs."""

_DEVIATIONS = 6.0  # of a count, beyond which it is left out
_BISECTIONS = 12  # to less than a twentieth of a point


def sensitivity_lines(config: RunConfig) -> Iterator[str]:
    """For each benchmark of the gate, in one line, the smallest difference that it can be expected to show."""
    gate = config.gate
    level = (1 - gate.confidence) / len(gate.benchmarks)
    asked = {benchmark.task: benchmark for benchmark in config.evaluation.benchmarks}
    for one in gate.benchmarks:
        problems = problems_asked(config, asked[one.benchmark])
        if problems is None:
            yield f"{one.benchmark}: how many problems it has, and so what it can show, is not known yet"
            continue
        found = smallest_difference(problems, one.margin, level)
        shown = f"a true difference of {100 * found:+.1f} points" if found is not None else "no difference"
        yield (
            f"{one.benchmark}, {problems:,} problems: {shown} to another model is shown to be above "
            f"{100 * one.margin:+.1f} in {POWER:.0%} of all runs"
        )
    yield f"taken for granted, not measured: {DIFFERING:.0%} of all answers differ between two models"


def smallest_difference(problems: int, margin: float, level: float) -> float | None:
    """The smallest true difference of two models' accuracies that is shown to be above `margin` as often as `POWER`.

    Args:
        problems: how many are asked, n.
        margin: in (-1, 1).
        level: of the one-sided test, `p_value`.

    Returns:
        A share in (-1, 1], up to a twentieth of a point too large; None where even a model that solves all problems
        that the other one does not is shown to be better too rarely.
    """
    if _chance(problems, 1.0, margin, level) < POWER:
        return None
    low, high = margin, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if _chance(problems, middle, margin, level) >= POWER else (middle, high)
    return high


def _chance(problems: int, difference: float, margin: float, level: float) -> float:
    """How often a true difference is shown to be above the margin.

    D ~ Bin(n, d) problems differ, with d the share of them; G ~ Bin(D, (1 + difference / d) / 2) of those are gained.
    """
    import numpy as np  # where they are used: a stage that only reads a verdict need not wait for them
    from scipy.special import bdtrc, gammaln, xlog1py, xlogy

    share = max(DIFFERING, abs(difference))
    reach = _DEVIATIONS * math.sqrt(problems * share * (1 - share)) + 1
    low, high = max(0, math.floor(problems * share - reach)), min(problems, math.ceil(problems * share + reach))
    counts = np.arange(low, high + 1)  # (D,)
    choices = gammaln(problems + 1) - gammaln(counts + 1) - gammaln(problems - counts + 1)
    weights = np.exp(choices + xlogy(counts, share) + xlog1py(problems - counts, -share))  # (D,)
    needed = np.array(_gains_needed(problems, low, high, margin, level))  # (D,)
    gains = np.where(needed == 0, 1.0, bdtrc(np.maximum(needed, 1) - 1, counts, (1 + difference / share) / 2))
    return float(weights @ np.where(needed > counts, 0.0, gains))


@functools.lru_cache(maxsize=8)  # the same for all differences that the assumed share has room for
def _gains_needed(problems: int, low: int, high: int, margin: float, level: float) -> list[int]:
    """For `low` to `high` problems that differ, how many must be gained for the test to reject; one more than there are
    where none is enough.

    One more that differs asks for as many gains, or for one more: the p-value falls with each gain and grows with each
    loss.
    """

    def rejects(gained: int, differing: int) -> bool:
        values = [1.0] * gained + [-1.0] * (differing - gained) + [0.0] * (problems - differing)
        return p_value(values, margin) <= level

    needed = bisect.bisect_left(range(low + 1), True, key=lambda gained: rejects(gained, low))
    found = []
    for differing in range(low, high + 1):
        while needed <= differing and not rejects(needed, differing):
            needed += 1
        found.append(needed)
    return found

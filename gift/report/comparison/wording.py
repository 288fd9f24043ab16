"""How the comparison words its numbers: the same in HTML, terminal and Markdown.

Left out: anything about layout.
"""

from statistics import median

from gift.report.comparison.plan import rate_text
from gift.report.comparison.schema import Comparison, Estimate, VariantResult
from gift.report.wording import benchmark_label, duration, percent, signed

METRIC_LABELS = {
    "reward": "Reward",
    "heldout_accuracy": "Held-out accuracy",
    "train_accuracy": "Training accuracy",
    "overfitting_gap": "Train − held-out",
    "kl": "KL to SFT",
    "entropy": "Entropy",
    "completions/mean_length": "Response length",
    "completions/group_std_length": "Spread of lengths in a group",
    "grad_norm": "Gradient norm",
    "gift/correlation": "Correlation ρ",
    "gift/implicit_reward_std": "Spread of the implicit reward",
    "gift/frac_at_floor": "Groups at the floor",
}
METRIC_UNITS = {
    "reward": "mean reward",
    "heldout_accuracy": "share right",
    "train_accuracy": "share right",
    "overfitting_gap": "share right",
    "kl": "nats per token",
    "entropy": "nats per token",
    "completions/mean_length": "tokens",
    "completions/group_std_length": "tokens",
    "gift/implicit_reward_std": "nats",
    "gift/frac_at_floor": "share",
}


def headline(comparison: Comparison) -> str:
    """The result in one sentence: what is best, by how much more than the baseline, and whether that may be chance."""
    task, baseline = comparison.plan.benchmark, comparison.plan.baseline
    ranked = sorted(comparison.variants, key=lambda name: -(comparison.variants[name].scores[task].mean or 0.0))
    best, other = ranked[0], baseline if ranked[0] != baseline else ranked[1]
    labels = variant_labels(comparison)
    shown = {
        name: f"{labels[name]} {percent(comparison.variants[name].scores[task].mean or 0.0)}\u00a0%" for name in ranked
    }
    # The differences are against the baseline; seen from the best, their sign may turn.
    difference = comparison.variants[best if best != baseline else other].differences[task]
    return f"{benchmark_label(task)}: {shown[best]}, {shown[other]}; {_difference_clause(difference, best != baseline)}"


def _difference_clause(difference: Estimate, from_best: bool) -> str:
    mean = difference.mean or 0.0
    text = f"a difference of {percent(abs(mean))} points"
    if difference.low is None or difference.high is None:
        return f"{text} with one seed, which may well be chance"
    low, high = (difference.low, difference.high) if from_best else (-difference.high, -difference.low)
    seeds = sum(value is not None for value in difference.values)
    chance = ", which may be chance" if low <= 0 <= high else ""
    return f"{text} (95\u00a0% interval {signed(low)} to {signed(high)}, {seeds} seeds){chance}"


def variant_labels(comparison: Comparison) -> dict[str, str]:
    """Name → label for people."""
    return {variant.name: variant.label for variant in comparison.plan.variants}


def metric_label(name: str) -> str:
    """A training metric's name for people."""
    return METRIC_LABELS.get(name, name)


def share_text(estimate: Estimate) -> str:
    """An accuracy in percent: `60.0 ± 1.9`, the half width of its interval behind ±, which needs two seeds."""
    if estimate.mean is None:
        return "–"
    if estimate.high is None:
        return percent(estimate.mean)
    return f"{percent(estimate.mean)} ± {percent(estimate.high - estimate.mean)}"


def difference_text(estimate: Estimate | None) -> str:
    """A difference of accuracies in points: `+1.1 (−0.5 to +2.7)`; a dash for the baseline itself."""
    if estimate is None or estimate.mean is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return signed(estimate.mean)
    return f"{signed(estimate.mean)} ({signed(estimate.low)} to {signed(estimate.high)})"


def number_text(estimate: Estimate | None) -> str:
    """A training metric: `0.713 ± 0.021`, the half width of its interval behind ±; a dash where it was not logged."""
    if estimate is None or estimate.mean is None:
        return "–"
    if estimate.high is None:
        return _significant(estimate.mean, 3)
    return f"{_significant(estimate.mean, 3)} ± {_significant(estimate.high - estimate.mean, 2)}"


def _significant(number: float, digits: int) -> str:
    """So many digits that count, and large numbers without a power of ten."""
    text = f"{number:.{digits}g}"
    return f"{number:,.0f}" if "e+" in text else text


def rate_with_edge(result: VariantResult) -> str:
    """The learning rate that was used; `*` marks the end of the grid."""
    return f"{rate_text(result.learning_rate)}{' *' if result.best_at_edge else ''}"


def time_text(result: VariantResult) -> str:
    """Median over the seeds."""
    known = [seconds for seconds in result.seconds if seconds is not None]
    return duration(median(known)) if known else "–"


def tokens_text(result: VariantResult) -> str:
    """Median over the seeds: `0.84 M`."""
    known = [count for count in result.tokens if count is not None]
    return f"{median(known) / 1e6:.2f} M" if known else "–"

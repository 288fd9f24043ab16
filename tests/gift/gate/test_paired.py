import functools
import math

import numpy as np
import pytest
from scipy.stats import beta, binomtest, multinomial, t

from gift.errors import GiftError
from gift.evaluation.results import BenchmarkResult, EvaluationSettings
from gift.evaluation.statistics import mean_and_stderr
from gift.gate.paired import INTERVAL_CONFIDENCE, PairedDifference, holm, lower_bound, p_value, paired_difference

SETTINGS = EvaluationSettings(
    lm_eval_version="0",
    task_version="1.0",
    fewshot_count=0,
    samples=1,
    decoding={},
    precision="fp32",
    batch_size=1,
    limit=None,
    seed=0,
)


def result(correct: list[float], ids: tuple[str, ...] | None = None) -> BenchmarkResult:
    accuracy, stderr = mean_and_stderr(correct)
    return BenchmarkResult(
        task="heldout",
        accuracy=accuracy,
        stderr=stderr,
        n=len(correct),
        ids=ids or tuple(f"p{i}" for i in range(len(correct))),
        correct=tuple(correct),
        secondary={},
        settings=SETTINGS,
        samples=(),
    )


def test_a_share_of_ones_has_the_binomial_standard_error_with_the_unbiased_variance() -> None:
    mean, stderr = mean_and_stderr([1.0] * 30 + [0.0] * 70)
    assert mean == pytest.approx(0.3)
    assert stderr == pytest.approx(math.sqrt(0.3 * 0.7 / 99))


def test_equal_values_have_no_standard_error() -> None:
    mean, stderr = mean_and_stderr([0.1] * 7)
    assert mean == pytest.approx(0.1)
    assert stderr == 0.0


@pytest.mark.parametrize("values", [[], [1.0]])
def test_fewer_than_two_problems_are_refused(values: list[float]) -> None:
    with pytest.raises(GiftError, match="at least 2 problems"):
        mean_and_stderr(values)


def test_a_paired_difference_is_sharper_than_two_separate_means() -> None:
    # The models agree on 96 of 100 problems; a gains four.
    a, b = result([1.0] * 54 + [0.0] * 46), result([1.0] * 50 + [0.0] * 50)
    difference = paired_difference(a, b)
    assert difference.mean == pytest.approx(0.04)
    assert difference.stderr == pytest.approx(math.sqrt(0.04 * 0.96 / 99))
    assert difference.z == pytest.approx(difference.mean / difference.stderr)
    assert difference.n == 100
    assert difference.stderr < 0.3 * math.hypot(a.stderr, b.stderr)


def test_opposite_models_have_a_paired_error_larger_than_the_unpaired_one() -> None:
    a, b = result([1.0, 0.0] * 50), result([0.0, 1.0] * 50)
    assert paired_difference(a, b).stderr == pytest.approx(math.sqrt(2) * math.hypot(a.stderr, b.stderr))


@pytest.mark.parametrize(("a", "b", "mean"), [(1.0, 1.0, 0.0), (1.0, 0.0, 1.0)])
def test_the_same_difference_everywhere_has_no_z(a: float, b: float, mean: float) -> None:
    difference = paired_difference(result([a] * 5), result([b] * 5))
    assert (difference.mean, difference.stderr, difference.z) == (mean, 0.0, None)


def test_other_problems_or_another_order_cannot_be_paired() -> None:
    first = result([1.0, 0.0])
    for other in (result([1.0, 0.0], ids=("p1", "p0")), result([1.0, 0.0, 1.0]), result([1.0, 0.0], ids=("q0", "q1"))):
        with pytest.raises(GiftError, match="not evaluated on the same problems"):
            paired_difference(first, other)


def scores(gained: int, lost: int, n: int) -> list[float]:
    """Differences of two right-or-wrong scores."""
    return [1.0] * gained + [-1.0] * lost + [0.0] * (n - gained - lost)


@pytest.mark.parametrize(("gained", "lost", "n"), [(1, 0, 2), (4, 0, 30), (5, 0, 30), (18, 8, 30), (130, 103, 500)])
def test_of_right_or_wrong_answers_the_bound_is_the_sign_test(gained: int, lost: int, n: int) -> None:
    p_value = binomtest(gained, gained + lost, alternative="greater").pvalue
    assert (
        lower_bound(scores(gained, lost, n), 1 - p_value + 1e-6)
        < 0
        < lower_bound(scores(gained, lost, n), 1 - p_value - 1e-6)
    )


@pytest.mark.parametrize(("won", "n"), [(1, 2), (20, 30), (30, 30), (4990, 5000)])
def test_of_two_values_the_bound_is_the_one_of_clopper_and_pearson(won: int, n: int) -> None:
    expected = 2 * beta.ppf(0.05, won, n - won + 1) - 1
    assert lower_bound(scores(won, n - won, n), 0.95) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("n", [2, 30, 500, 5000, 50_000])
def test_no_difference_on_few_problems_is_little_proof(n: int) -> None:
    assert lower_bound([0.0] * n, 0.95) == pytest.approx(0.05 ** (1 / n) - 1, abs=1e-6)


def test_the_worst_values_leave_nothing_to_bound() -> None:
    assert lower_bound([-1.0] * 30, 0.95) == -1


def test_shares_of_samples_are_weighted_at_random() -> None:
    """The definition of the bound, by simulation."""
    rng = np.random.default_rng(0)
    values = rng.choice([-0.5, -0.25, 0, 0.25, 0.75, 1], 40)
    means = rng.dirichlet(np.ones(41), 400_000) @ np.append(values, -1.0)
    assert lower_bound(list(values), 0.9) == pytest.approx(np.quantile(means, 0.1), abs=1e-3)


def test_with_many_problems_the_bound_is_students() -> None:
    values = scores(700, 500, 5000)
    mean, stderr = mean_and_stderr(values)
    assert lower_bound(values, 0.95) == pytest.approx(mean - t.ppf(0.95, 4999) * stderr, abs=0.03 * stderr)


@functools.cache
def bounds_of_30_problems(confidence: float) -> dict[tuple[int, int], float]:
    """(gained, lost) → bound, for everything that can happen."""
    outcomes = [(gained, lost) for gained in range(31) for lost in range(31 - gained)]
    return {outcome: lower_bound(scores(*outcome, 30), confidence) for outcome in outcomes}


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize("gain", [-0.5, -0.1, -0.02, 0.0, 0.02, 0.1, 0.5])
def test_the_bound_of_30_problems_is_too_high_no_more_often_than_it_says(gain: float, confidence: float) -> None:
    """The exact error rate: every possible outcome with its probability, for all shares of problems that differ."""
    too_high = [outcome for outcome, bound in bounds_of_30_problems(confidence).items() if bound > gain]
    for differing in np.linspace(max(abs(gain), 0.01), 1, 60):
        chances = ((differing + gain) / 2, (differing - gain) / 2, 1 - differing)
        outcomes = [(gained, lost, 30 - gained - lost) for gained, lost in too_high]
        rate = multinomial.pmf(outcomes, 30, chances).sum() if outcomes else 0.0
        assert rate <= 1 - confidence + 1e-9


@pytest.mark.parametrize(
    ("values", "chances"),
    [
        ((-1.0, 0.25), (0.2, 0.8)),  # often a little better, now and then much worse: what misleads Student's t
        ((1.0, -0.25), (0.2, 0.8)),
        ((-0.5, 0.0, 0.5), (0.03, 0.94, 0.03)),
    ],
)
def test_skewed_shares_of_samples_do_not_mislead_the_bound(
    values: tuple[float, ...], chances: tuple[float, ...]
) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(30, chances, 3000)
    outcomes, times = np.unique(drawn, axis=0, return_counts=True)
    wrong = [lower_bound(list(np.repeat(values, counts)), 0.95) > np.dot(values, chances) for counts in outcomes]
    assert np.dot(wrong, times) / 3000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 3000)


@pytest.mark.parametrize(("gained", "lost", "n"), [(1, 0, 2), (5, 0, 30), (18, 8, 30), (8, 18, 30), (130, 103, 500)])
def test_of_right_or_wrong_answers_the_p_value_is_the_sign_tests(gained: int, lost: int, n: int) -> None:
    expected = binomtest(gained, gained + lost, alternative="greater").pvalue
    assert p_value(scores(gained, lost, n), 0.0) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("least", [-0.2, 0.0, 0.15])
@pytest.mark.parametrize("values", [[1.0] * 6 + [0.0] * 24, [-0.5, 0.25, 0.75] * 9, [-1.0] * 8 + [0.5] * 20])
def test_a_mean_is_shown_to_be_above_what_its_bound_is_above(values: list[float], least: float) -> None:
    p = p_value(values, least)
    for confidence in (0.6, 0.9, 0.99):
        assert (p <= 1 - confidence) == (lower_bound(values, confidence) >= least)


def test_holm_multiplies_the_smallest_by_all_and_the_next_by_one_less() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.02]) == [0.02]
    assert holm([0.9, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("differing", [0.1, 0.4, 1.0])
def test_of_two_benchmarks_one_is_called_better_and_is_not_no_more_often_than_the_level(differing: float) -> None:
    """The exact rate: all pairs of outcomes of 20 problems each, where the truth is that nothing has changed."""
    outcomes = [(gained, lost) for gained in range(21) for lost in range(21 - gained)]
    p_values = [p_value(scores(*outcome, 20), 0.0) for outcome in outcomes]
    chances = (differing / 2, differing / 2, 1 - differing)
    weights = multinomial.pmf([(gained, lost, 20 - gained - lost) for gained, lost in outcomes], 20, chances)
    level = 0.2  # of 0.05, 20 problems use up so little that two benchmarks pass without a correction
    uncorrected = 1 - weights[np.array(p_values) > level].sum() ** 2
    corrected = sum(
        first * second
        for one, first in zip(p_values, weights, strict=True)
        for other, second in zip(p_values, weights, strict=True)
        if min(one, other) <= level and min(holm([one, other])) <= level
    )
    assert corrected <= level
    assert differing < 0.4 or uncorrected > level, "so the correction is needed"


def test_a_paired_difference_has_a_two_sided_interval() -> None:
    difference = paired_difference(result([1.0] * 54 + [0.0] * 46), result([1.0] * 50 + [0.0] * 50))
    side = (1 + INTERVAL_CONFIDENCE) / 2
    assert difference.low == lower_bound(scores(4, 0, 100), side) < difference.mean
    assert difference.high == -lower_bound(scores(0, 4, 100), side) > difference.mean


def test_an_older_verdicts_difference_still_loads_and_claims_no_interval() -> None:
    old = PairedDifference.model_validate_json('{"mean": 0.1, "stderr": 0.02, "z": 5.0, "n": 100}')
    assert (old.low, old.high) == (-1, 1)

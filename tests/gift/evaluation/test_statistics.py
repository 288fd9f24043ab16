import math

import pytest

from gift.errors import GiftError
from gift.evaluation.results import BenchmarkResult, EvaluationSettings
from gift.evaluation.statistics import confidence_interval, mean_and_stderr, paired_difference

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


def test_the_confidence_interval_is_the_normal_one() -> None:
    low, high = confidence_interval(0.5, 0.1)
    assert low == pytest.approx(0.5 - 0.1959964)
    assert high == pytest.approx(0.5 + 0.1959964)
    assert confidence_interval(0.5, 0.0, confidence=0.99) == (0.5, 0.5)

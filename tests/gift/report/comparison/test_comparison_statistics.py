"""Intervals over seeds: Student's t, worked by hand, and what is left out when a seed has no number."""

import math

import pytest

from gift.report.comparison.statistics import difference_by_seed, estimate

T_975_DF_2 = 4.302652729911275
T_975_DF_4 = 2.7764451051977987


def test_the_interval_is_students_t_for_the_number_of_seeds() -> None:
    found = estimate([0.1, 0.2, 0.6])
    deviation = math.sqrt((0.2**2 + 0.1**2 + 0.3**2) / 2)  # around the mean 0.3, divided by n - 1
    margin = T_975_DF_2 * deviation / math.sqrt(3)
    assert found.mean == pytest.approx(0.3)
    assert found.low == pytest.approx(0.3 - margin, rel=1e-9)
    assert found.high == pytest.approx(0.3 + margin, rel=1e-9)


def test_five_seeds_have_a_narrower_quantile() -> None:
    found = estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found.high == pytest.approx(3 + T_975_DF_4 * math.sqrt(2.5) / math.sqrt(5), rel=1e-9)


def test_one_seed_has_no_interval_and_none_has_no_mean() -> None:
    assert (estimate([0.4]).mean, estimate([0.4]).low, estimate([0.4]).high) == (0.4, None, None)
    assert estimate([None, math.nan]).mean is None


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, -1.8e308])
def test_a_seed_without_a_finite_number_keeps_its_place_and_is_left_out(missing: float | None) -> None:
    found = estimate([0.2, missing, 0.4])
    assert found.values == (0.2, None, 0.4)
    assert found.mean == pytest.approx(0.3)


def test_equal_values_give_an_interval_of_no_width() -> None:
    found = estimate([0.7, 0.7, 0.7])
    assert found.low == pytest.approx(0.7)
    assert found.high == pytest.approx(0.7)


def test_differences_are_taken_seed_by_seed() -> None:
    """Seeds differ by 0.4 and variants by 0.1: the paired interval does not see the first."""
    found = difference_by_seed([0.3, 0.5, 0.7], [0.2, 0.4, 0.6])
    assert found.mean == pytest.approx(0.1)
    assert found.high is not None
    assert found.high - 0.1 < 1e-9
    assert difference_by_seed([0.3, None], [0.2, 0.1]).values == (pytest.approx(0.1), None)

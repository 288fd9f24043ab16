"""The interval that a chart draws around an accuracy."""

import math

import pytest

from gift.report.charts import accuracy_interval
from gift.report.schema import Score


@pytest.mark.parametrize(
    ("right", "low", "high"),
    [(0, 0.0, 0.1157), (15, 0.3130, 0.6870), (30, 0.8843, 1.0)],  # Clopper and Pearson (1934), 30 problems
)
def test_of_right_or_wrong_answers_the_interval_is_exact(right: int, low: float, high: float) -> None:
    share = right / 30
    score = Score(accuracy=share, stderr=math.sqrt(share * (1 - share) / 29), n=30)
    assert accuracy_interval(score) == pytest.approx((low, high), abs=1e-4)


def test_several_samples_per_problem_make_it_narrower() -> None:
    once, often = (accuracy_interval(Score(accuracy=0.5, stderr=stderr, n=30)) for stderr in (0.093, 0.05))
    assert once[0] < often[0] < 0.5 < often[1] < once[1]

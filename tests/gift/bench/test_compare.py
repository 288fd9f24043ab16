"""A case is slower when our share of TRL's time grew by more than the tolerance, whatever the machine's speed."""

import pytest
from step_measurements import measurement, measurements, turns

from gift.bench.compare import compare_measurements
from gift.bench.results import Measurements
from gift.errors import GiftError


@pytest.mark.parametrize(("after", "slower"), [(0.50, False), (0.57, False), (0.58, True), (0.40, False)])
def test_fifteen_percent_are_allowed(after: float, slower: bool) -> None:
    (verdict,) = compare_measurements(measurements(tiny=0.5), measurements(tiny=after))
    assert verdict.slower is slower
    assert f"0.500 → {after:.3f} ({after / 0.5 - 1:+.1%})" in verdict.line


def test_a_slower_machine_is_no_slower_code() -> None:
    slow = Measurements(cases={"tiny": measurement("tiny", turns(50.0), turns(100.0))})
    (verdict,) = compare_measurements(measurements(tiny=0.5), slow)
    assert not verdict.slower


def test_the_tolerance_may_be_another() -> None:
    (verdict,) = compare_measurements(measurements(tiny=0.5), measurements(tiny=0.52), tolerance=0.02)
    assert verdict.slower


def test_a_case_that_was_not_measured_again_is_no_success_and_a_new_one_no_failure() -> None:
    old, new = (
        measurements(tiny=0.5, **{"12m_p128_n8_equal": 0.5}),
        measurements(tiny=0.5, **{"12m_p512_n8_equal": 9.0}),
    )
    verdicts = compare_measurements(old, new)
    assert [verdict.slower for verdict in verdicts] == [False, True]
    assert verdicts[1].line == "12m-p128-n8-equal  not measured again"


def test_old_results_without_cases_can_judge_nothing() -> None:
    with pytest.raises(GiftError, match="no cases"):
        compare_measurements(Measurements(), measurements(tiny=0.5))

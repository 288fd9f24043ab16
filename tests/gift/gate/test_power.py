"""What a benchmark can show, against every outcome that can happen."""

import numpy as np
import pytest
from scipy.stats import multinomial

from gift.config import load_profile
from gift.gate.paired import p_value
from gift.gate.power import DIFFERING, POWER, sensitivity_lines, smallest_difference


def chance(problems: int, difference: float, margin: float, level: float) -> float:
    """How often a true difference is shown to be above the margin, by the test itself on all outcomes."""
    share = max(DIFFERING, abs(difference))
    shown = [
        (gained, lost, problems - gained - lost)
        for gained in range(problems + 1)
        for lost in range(problems + 1 - gained)
        if p_value([1.0] * gained + [-1.0] * lost + [0.0] * (problems - gained - lost), margin) <= level
    ]
    chances = ((share + difference) / 2, (share - difference) / 2, 1 - share)
    return float(multinomial.pmf(shown, problems, np.clip(chances, 0, 1)).sum()) if shown else 0.0


@pytest.mark.parametrize(
    ("margin", "level"), [(0.0, 0.05), (0.0, 0.025), (0.1, 0.05), (-0.02, 0.05), (-0.1, 0.2), (-0.5, 0.05)]
)
def test_the_smallest_difference_is_shown_as_often_as_said_and_a_smaller_one_is_not(
    margin: float, level: float
) -> None:
    found = smallest_difference(30, margin, level)
    assert found is not None
    assert chance(30, found, margin, level) >= POWER - 1e-9
    assert chance(30, found - 0.002, margin, level) < POWER


def test_with_more_problems_smaller_differences_are_shown() -> None:
    found = [smallest_difference(problems, 0.0, 0.05) or 1.0 for problems in (30, 100, 500, 1319)]
    assert found == sorted(found, reverse=True)
    by_the_normal_distribution = (1.645 + 0.842) * np.sqrt(DIFFERING / 1319)
    assert found[-1] == pytest.approx(by_the_normal_distribution, rel=0.05)


def test_two_problems_show_nothing() -> None:
    assert smallest_difference(2, 0.0, 0.05) is None
    assert smallest_difference(5, 0.0, 0.05) == pytest.approx(0.96, abs=0.01)  # all five gained, four times of five


def test_each_benchmark_of_the_gate_says_what_it_can_show() -> None:
    benchmarks = "[{task: heldout}, {task: aime24_sampled, samples: 32}, {task: math500, limit: 2}]"
    asked = ", ".join(f"{{benchmark: {task}, at_least: 0.0}}" for task in ("heldout", "aime24_sampled", "math500"))
    settings = (f"evaluation.benchmarks={benchmarks}", f"gate.benchmarks=[{asked}]", "model.context_length=512")
    config = load_profile("local", settings)
    heldout, aime, math500, assumed = sensitivity_lines(config)
    alone = smallest_difference(500, 0.0, 0.05)
    of_three = smallest_difference(500, 0.0, 0.05 / 3)
    assert alone is not None
    assert of_three is not None
    assert of_three > alone
    assert heldout == (
        f"heldout, 500 problems: a true difference of {100 * of_three:+.1f} points to another model is shown to be "
        "above +0.0 in 80% of all runs"
    )
    assert aime.startswith("aime24_sampled, 30 problems: ")
    assert math500.startswith("math500, 2 problems: no difference to another model is shown")
    assert assumed == "taken for granted, not measured: 20% of all answers differ between two models"


def test_the_problems_of_ones_own_file_are_counted_where_the_file_is(tmp_path) -> None:
    own = tmp_path / "own.jsonl"
    data = f"data={{source: jsonl, train_file: {own}, heldout_file: {own}}}"
    assert "is not known yet" in next(sensitivity_lines(load_profile("local", (data,))))
    own.write_text('{"question": "1 + 1?", "answer": "#### 2"}\n' * 40)
    assert "heldout, 40 problems: " in next(sensitivity_lines(load_profile("local", (data,))))

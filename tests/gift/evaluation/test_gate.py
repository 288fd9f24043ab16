import pytest

from gift.config import GateConfig
from gift.errors import GiftError
from gift.evaluation.gate import Verdict, decide
from gift.evaluation.results import BenchmarkResult, EvaluationSettings
from gift.evaluation.statistics import mean_and_stderr

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


def result(solved: range, ids: str = "p", task: str = "heldout", n: int = 100) -> BenchmarkResult:
    """Of `n` problems those in the range `solved` are solved."""
    correct = [float(i in solved) for i in range(n)]
    accuracy, stderr = mean_and_stderr(correct)
    return BenchmarkResult(
        task=task,
        accuracy=accuracy,
        stderr=stderr,
        n=n,
        ids=tuple(f"{ids}{i}" for i in range(n)),
        correct=tuple(correct),
        secondary={},
        settings=SETTINGS,
        samples=(),
    )


SFT = result(range(50))
GATE = GateConfig(benchmark="heldout")


def test_a_clear_gain_without_a_champion_is_promoted() -> None:
    verdict = decide(GATE, SFT, result(range(60)), None)
    assert verdict.promote
    assert set(verdict.comparisons) == {"sft"}
    assert verdict.reasons[0] == (
        "On 100 heldout problems the candidate solves 60.0% and the SFT model 50.0%: a difference of +10.0 ± 3.0 "
        "points (± standard error). At 95% confidence the gain is at least +5.0 points, which exceeds the required 0.0."
    )
    assert verdict.reasons[1] == "There is no champion yet to compare with."


def test_the_bound_is_one_sided() -> None:
    # Two problems gained: mean 0.02, stderr 0.0141, so the bound changes its sign at z = 1.41, i.e. at 92 %.
    candidate = result(range(52))
    assert decide(GateConfig(benchmark="heldout", confidence=0.92), SFT, candidate, None).promote
    assert not decide(GateConfig(benchmark="heldout", confidence=0.93), SFT, candidate, None).promote


@pytest.mark.parametrize("solved", [range(50), range(52), range(40)])
def test_no_clear_gain_over_sft_is_refused(solved: range) -> None:
    verdict = decide(GATE, SFT, result(solved), None)
    assert not verdict.promote
    assert "does not exceed the required 0.0" in verdict.reasons[0]


def test_the_required_gain_counts() -> None:
    candidate = result(range(60))  # at least +5.0 points
    assert decide(GateConfig(benchmark="heldout", min_gain=0.04), SFT, candidate, None).promote
    assert not decide(GateConfig(benchmark="heldout", min_gain=0.06), SFT, candidate, None).promote


@pytest.mark.parametrize("champion_solves", [range(55), range(60), range(61)])
def test_a_candidate_not_significantly_worse_than_the_champion_is_promoted(champion_solves: range) -> None:
    verdict = decide(GATE, SFT, result(range(60)), result(champion_solves))
    assert verdict.promote
    assert set(verdict.comparisons) == {"sft", "champion"}
    assert "not significantly worse" in verdict.reasons[1]


def test_a_candidate_significantly_worse_than_the_champion_is_refused() -> None:
    verdict = decide(GATE, SFT, result(range(60)), result(range(70)))
    assert not verdict.promote
    assert verdict.comparisons["champion"].mean == pytest.approx(-0.1)
    assert verdict.reasons[1] == (
        "The champion solves 70.0% of the same problems: a difference of -10.0 ± 3.0 points (± standard error). "
        "The candidate is significantly worse at 95% confidence."
    )


def test_beating_the_champion_does_not_make_up_for_losing_to_sft() -> None:
    assert not decide(GATE, SFT, result(range(50)), result(range(20))).promote


@pytest.mark.parametrize("champion", [result(range(10), ids="q"), result(range(10), n=99)])
def test_a_champion_of_other_problems_leaves_the_decision_to_a_human(champion: BenchmarkResult) -> None:
    verdict = decide(GATE, SFT, result(range(60)), champion)
    assert not verdict.promote
    assert set(verdict.comparisons) == {"sft"}
    assert "cannot be compared; a human has to decide and promote by hand" in verdict.reasons[1]


def test_all_or_nothing_scores_are_decided_without_a_division_by_zero() -> None:
    nothing, everything = result(range(0)), result(range(100))
    assert decide(GATE, nothing, everything, everything).promote
    assert not decide(GATE, everything, everything, None).promote
    assert not decide(GATE, nothing, result(range(50)), everything).promote


def test_an_sft_model_of_other_problems_is_an_error() -> None:
    with pytest.raises(GiftError, match="not evaluated on the same problems"):
        decide(GATE, result(range(50), ids="q"), result(range(60)), None)


def test_a_result_of_another_benchmark_is_an_error() -> None:
    with pytest.raises(GiftError, match="judges heldout, but was given a result of gsm8k"):
        decide(GATE, SFT, result(range(60), task="gsm8k"), None)


def test_a_verdict_survives_json() -> None:
    verdict = decide(GATE, SFT, result(range(60)), SFT)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict

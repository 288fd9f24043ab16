import math

import numpy as np
import pytest

from gift.config import GateConfig
from gift.errors import GiftError
from gift.evaluation.gate import NotComparable, Opponent, Verdict, decide
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
NOTHING = result(range(0))
GATE = GateConfig(benchmark="heldout")


def test_a_clear_gain_without_a_champion_is_promoted() -> None:
    verdict = decide(GATE, SFT, SFT, result(range(60)), None)
    assert verdict.promote
    assert set(verdict.comparisons) == {"sft", "base"}
    assert verdict.reasons[0] == (
        "On 100 heldout problems the candidate solves 60.0% and the SFT model 50.0%: a difference of +10.0 ± 3.0 "
        "points (± standard error). At 95% confidence the gain is at least +4.1 points, which exceeds the required 0.0."
    )
    assert verdict.reasons[1] == "There is no champion yet to compare with."


def test_the_bound_is_one_sided() -> None:
    # Four problems gained and none lost: 1 in 16 by chance.
    candidate = result(range(54))
    assert decide(GateConfig(benchmark="heldout", confidence=0.93), SFT, SFT, candidate, None).promote
    assert not decide(GateConfig(benchmark="heldout", confidence=0.94), SFT, SFT, candidate, None).promote


@pytest.mark.parametrize("solved", [range(50), range(52), range(40)])
def test_no_clear_gain_over_sft_is_refused(solved: range) -> None:
    verdict = decide(GATE, SFT, SFT, result(solved), None)
    assert not verdict.promote
    assert "does not exceed the required 0.0" in verdict.reasons[0]


def test_the_required_gain_counts() -> None:
    candidate = result(range(60))  # at least +4.1 points
    assert decide(GateConfig(benchmark="heldout", min_gain=0.04), SFT, SFT, candidate, None).promote
    assert not decide(GateConfig(benchmark="heldout", min_gain=0.05), SFT, SFT, candidate, None).promote


@pytest.mark.parametrize("champion_solves", [range(55), range(60), range(61)])
def test_a_candidate_not_significantly_worse_than_the_champion_is_promoted(champion_solves: range) -> None:
    verdict = decide(GATE, SFT, SFT, result(range(60)), result(champion_solves))
    assert verdict.promote
    assert set(verdict.comparisons) == {"sft", "base", "champion"}
    assert "not significantly worse" in verdict.reasons[1]


def test_a_candidate_significantly_worse_than_the_champion_is_refused() -> None:
    verdict = decide(GATE, SFT, SFT, result(range(60)), result(range(70)))
    assert not verdict.promote
    assert verdict.comparisons["champion"].mean == pytest.approx(-0.1)
    assert verdict.reasons[1] == (
        "The champion solves 70.0% of the same problems: a difference of -10.0 ± 3.0 points (± standard error). "
        "The candidate is significantly worse at 95% confidence."
    )


def test_beating_the_champion_does_not_make_up_for_losing_to_sft() -> None:
    assert not decide(GATE, SFT, SFT, result(range(50)), result(range(20))).promote


@pytest.mark.parametrize("champion", [result(range(10), ids="q"), result(range(10), n=99)])
def test_a_champion_of_other_problems_leaves_the_decision_to_a_human(champion: BenchmarkResult) -> None:
    verdict = decide(GATE, SFT, SFT, result(range(60)), champion)
    assert not verdict.promote
    assert not verdict.comparable
    assert set(verdict.comparisons) == {"sft", "base"}
    assert "The champion can't be compared: it was evaluated on other heldout problems" in verdict.reasons[1]
    assert verdict.reasons[1].endswith("A human has to decide and promote by hand.")


def test_a_champion_without_a_usable_result_leaves_the_decision_to_a_human() -> None:
    opponent = Opponent(model="m", version="3")
    verdict = decide(GATE, SFT, SFT, result(range(60)), NotComparable("its evaluation is lost"), opponent)
    assert (verdict.promote, verdict.comparable, verdict.champion) == (False, False, opponent)
    assert verdict.reasons[1] == (
        "The champion can't be compared: its evaluation is lost. A human has to decide and promote by hand."
    )


@pytest.mark.parametrize("solved", [0, 15, 30])
def test_no_change_on_30_problems_is_no_proof_that_little_was_lost(solved: int) -> None:
    nothing, same = result(range(0), n=30), result(range(solved), n=30)
    verdict = decide(GateConfig(benchmark="heldout", min_gain=-0.05, min_accuracy=0.1), nothing, same, same, None)
    assert not verdict.promote
    assert "the gain is at least -9.5 points, which does not exceed the required -5.0" in verdict.reasons[0]
    wider = decide(GateConfig(benchmark="heldout", min_gain=-0.1, min_accuracy=0.1), nothing, same, same, None)
    assert wider.promote == (solved > 0)


def test_a_wreck_is_not_promoted_for_being_no_worse_than_a_wreck() -> None:
    guard = GateConfig(benchmark="heldout", min_gain=-0.1, min_accuracy=0.1)
    verdict = decide(guard, NOTHING, NOTHING, NOTHING, None)
    assert not verdict.promote
    assert "exceeds the required -10.0" in verdict.reasons[0]
    assert verdict.reasons[2].endswith("The candidate is not significantly better at 95% confidence.")
    assert verdict.reasons[3] == "The candidate does not reach the least accuracy, 10.0%."


def test_a_candidate_that_only_beats_a_spoilt_sft_model_is_refused() -> None:
    verdict = decide(GATE, result(range(50)), result(range(20)), result(range(50)), None)
    assert not verdict.promote
    assert verdict.comparisons["base"].mean == 0
    assert decide(GATE, result(range(40)), result(range(20)), result(range(50)), None).promote


def test_the_least_accuracy_holds_whatever_was_gained() -> None:
    high = GateConfig(benchmark="heldout", min_accuracy=0.6)
    assert decide(high, NOTHING, NOTHING, result(range(60)), None).promote
    assert not decide(high, NOTHING, NOTHING, result(range(59)), None).promote


def test_a_gate_that_lets_losses_through_needs_a_floor() -> None:
    with pytest.raises(ValueError, match=r"min_gain is -0.02, which .*; set min_accuracy"):
        GateConfig(benchmark="heldout", min_gain=-0.02)


@pytest.mark.parametrize(("gained", "promoted"), [(1, False), (3, False), (4, False), (5, True)])
def test_a_handful_of_30_problems_is_judged_by_the_sign_test(gained: int, promoted: bool) -> None:
    nothing = result(range(0), n=30)
    assert (
        decide(GATE, nothing, nothing, result(range(gained), n=30), None).promote == promoted
    )  # 1 in 2^gained by chance


def test_two_problems_prove_nothing() -> None:
    nothing, everything = result(range(0), n=2), result(range(2), n=2)
    assert not decide(GATE, nothing, nothing, everything, None).promote
    assert "not significantly worse" in decide(GATE, nothing, nothing, nothing, everything).reasons[1]


def of_answers(right: np.ndarray) -> BenchmarkResult:
    correct = right.astype(float).tolist()
    return result(range(0), n=len(correct)).model_copy(
        update={"correct": tuple(correct), "accuracy": sum(correct) / len(correct)}
    )


@pytest.mark.parametrize("accuracy", [0.03, 0.5, 0.97])
@pytest.mark.parametrize(("problems", "runs"), [(30, 2000), (500, 400)])
def test_a_candidate_that_is_no_better_is_rarely_promoted(accuracy: float, problems: int, runs: int) -> None:
    rng = np.random.default_rng(0)
    candidates, starts = rng.random((2, runs, problems)) < accuracy
    known: dict[tuple[int, int], bool] = {}  # the verdict depends on how many problems were gained and lost
    promoted = 0
    for candidate, start in zip(candidates, starts, strict=True):
        outcome = (int((candidate & ~start).sum()), int((start & ~candidate).sum()))
        if outcome not in known:
            known[outcome] = decide(GATE, of_answers(start), of_answers(start), of_answers(candidate), None).promote
        promoted += known[outcome]
    assert promoted / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_all_or_nothing_scores_are_decided_without_a_division_by_zero() -> None:
    nothing, everything = result(range(0)), result(range(100))
    assert decide(GATE, nothing, nothing, everything, everything).promote
    assert not decide(GATE, everything, everything, everything, None).promote
    assert not decide(GATE, nothing, nothing, result(range(50)), everything).promote


def test_an_sft_model_of_other_problems_is_an_error() -> None:
    with pytest.raises(GiftError, match="not evaluated on the same problems"):
        decide(GATE, result(range(50), ids="q"), result(range(50), ids="q"), result(range(60)), None)


def test_a_result_of_another_benchmark_is_an_error() -> None:
    with pytest.raises(GiftError, match="judges heldout, but was given a result of gsm8k"):
        decide(GATE, SFT, SFT, result(range(60), task="gsm8k"), None)


def test_a_verdict_survives_json() -> None:
    verdict = decide(GATE, SFT, SFT, result(range(60)), SFT, Opponent(model="m", version="7"))
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict

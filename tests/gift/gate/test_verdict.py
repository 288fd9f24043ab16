import math

import numpy as np
import pytest

from gift.config import GateBenchmark, GateConfig
from gift.errors import GiftError
from gift.evaluation.results import BenchmarkResult, EvaluationSettings
from gift.evaluation.statistics import mean_and_stderr
from gift.gate.verdict import NotComparable, Opponent, Verdict, decide

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


def scores(solved: range, n: int = 100, **others: range) -> dict[str, BenchmarkResult]:
    """What a model solves on `heldout`, and on other benchmarks by name."""
    return {"heldout": result(solved, n=n)} | {task: result(own, task=task, n=n) for task, own in others.items()}


def asks(*benchmarks: GateBenchmark, confidence: float = 0.95) -> GateConfig:
    return GateConfig(benchmarks=benchmarks, confidence=confidence)


def gain(least: float = 0.0, benchmark: str = "heldout", **others: float) -> GateBenchmark:
    return GateBenchmark.model_validate({"benchmark": benchmark, "at_least": least} | others)


def guard(margin: float, benchmark: str = "heldout", **others: float) -> GateBenchmark:
    return GateBenchmark.model_validate({"benchmark": benchmark, "not_worse_than": margin} | others)


SFT = scores(range(50))
NOTHING = scores(range(0))
GATE = asks(gain())


def test_a_clear_gain_without_a_champion_is_promoted() -> None:
    verdict = decide(GATE, scores(range(40)), SFT, scores(range(60)), None)
    assert (verdict.decision, verdict.sentence) == (
        "promote",
        "Promote: the candidate meets what the gate asks on every benchmark.",
    )
    assert set(verdict.benchmarks[0].comparisons) == {"sft", "base"}
    assert verdict.reasons == (
        "On 100 heldout problems the candidate solves 60.0%, the SFT model 50.0% (+10.0 ± 3.0 points), the base model "
        "40.0% (+20.0 ± 4.0 points). It must be better than each by more than 0.0 points. At 95% confidence this is "
        "shown (p = 0.00098).",  # 1 in 2^10
        "There is no champion yet to compare with.",
    )


def test_the_test_is_one_sided() -> None:
    # Four problems gained and none lost: 1 in 16 by chance.
    candidate = scores(range(54))
    assert decide(asks(gain(), confidence=0.93), SFT, SFT, candidate, None).decision == "promote"
    assert decide(asks(gain(), confidence=0.94), SFT, SFT, candidate, None).decision == "undecided"


@pytest.mark.parametrize("solved", [range(50), range(52), range(49)])
def test_a_difference_that_may_be_chance_leaves_it_open(solved: range) -> None:
    verdict = decide(GATE, SFT, SFT, scores(solved), None)
    assert (verdict.decision, verdict.sentence) == (
        "undecided",
        "Undecided: on heldout the candidate is shown neither to meet what the gate asks nor to fall short of it; more "
        "problems could tell.",
    )
    assert "At 95% confidence this is neither shown (p = " in verdict.reasons[0]


def test_a_candidate_that_is_shown_to_be_worse_is_not_promoted() -> None:
    verdict = decide(GATE, SFT, SFT, scores(range(40)), None)
    assert (verdict.decision, verdict.sentence) == (
        "keep",
        "Keep: the candidate falls short of what the gate asks on heldout.",
    )
    assert "At 95% confidence this is shown not to hold (p = 0.002)." in verdict.reasons[0]  # 2 models, 1 in 2^10


def test_a_gain_that_is_shown_to_be_too_small_is_kept_out() -> None:
    verdict = decide(asks(gain(0.3)), SFT, SFT, scores(range(55)), None)
    assert verdict.decision == "keep"
    assert "better than each by more than 30.0 points" in verdict.reasons[0]


def test_the_required_gain_counts() -> None:
    candidate = scores(range(60))  # at least +4.1 points
    assert decide(asks(gain(0.04)), SFT, SFT, candidate, None).decision == "promote"
    assert decide(asks(gain(0.05)), SFT, SFT, candidate, None).decision == "undecided"


@pytest.mark.parametrize(
    ("champion_solves", "decision"),
    [(range(50), "promote"), (range(58), "undecided"), (range(62), "undecided"), (range(70), "keep")],
)
def test_the_champion_must_be_beaten_too(champion_solves: range, decision: str) -> None:
    verdict = decide(GATE, SFT, SFT, scores(range(60)), scores(champion_solves))
    assert verdict.decision == decision
    assert set(verdict.benchmarks[0].comparisons) == {"sft", "base", "champion"}
    assert f"the champion {len(champion_solves)}.0%" in verdict.reasons[0]


def test_beating_the_champion_does_not_make_up_for_losing_to_sft() -> None:
    assert decide(GATE, SFT, SFT, scores(range(50)), scores(range(20))).decision == "undecided"
    assert decide(GATE, SFT, SFT, scores(range(40)), scores(range(20))).decision == "keep"


def test_a_champion_that_cannot_be_evaluated_leaves_the_decision_to_a_human() -> None:
    opponent = Opponent(model="m", version="3")
    lost = NotComparable("its model is lost")
    verdict = decide(GATE, SFT, SFT, scores(range(60)), lost, opponent)
    assert (verdict.decision, verdict.champion, verdict.incomparable) == ("undecided", opponent, "its model is lost")
    assert verdict.sentence == "Undecided: there is a champion that the candidate can't be compared with."
    assert verdict.reasons[1] == (
        "The champion can't be compared: its model is lost. A human has to decide and promote by hand."
    )
    assert decide(GATE, SFT, SFT, scores(range(40)), lost, opponent).decision == "keep"


GAIN_AND_GUARD = asks(gain(), guard(0.1, "gsm8k"))


@pytest.mark.parametrize(
    ("heldout", "gsm8k", "decision", "named"),
    [
        (60, 80, "promote", "every benchmark"),
        (60, 79, "promote", "every benchmark"),
        (60, 75, "undecided", "on gsm8k"),
        (60, 60, "keep", "on gsm8k"),
        (51, 80, "undecided", "on heldout"),
        (51, 75, "undecided", "on heldout and gsm8k"),
        (51, 60, "keep", "on gsm8k"),
        (40, 60, "keep", "on heldout and gsm8k"),
    ],
)
def test_each_benchmark_asks_something_of_its_own(heldout: int, gsm8k: int, decision: str, named: str) -> None:
    start = scores(range(50), gsm8k=range(80))
    verdict = decide(GAIN_AND_GUARD, start, start, scores(range(heldout), gsm8k=range(gsm8k)), None)
    assert verdict.decision == decision
    assert named in verdict.sentence
    assert [said.benchmark for said in verdict.benchmarks] == ["heldout", "gsm8k"]
    assert (
        "It must be less than 10.0 points worse than each. At 95% confidence over 2 benchmarks (Holm)"
        in (verdict.reasons[1])
    )


def test_one_chance_in_32_is_enough_for_one_benchmark_and_not_for_two() -> None:
    start = scores(range(50), gsm8k=range(50))
    candidate = scores(range(55), gsm8k=range(55))  # five problems gained and none lost, on both
    assert decide(GATE, start, start, candidate, None).benchmarks[0].met_p == pytest.approx(1 / 32, abs=1e-4)
    verdict = decide(asks(gain(), gain(benchmark="gsm8k")), start, start, candidate, None)
    assert [said.met_p for said in verdict.benchmarks] == pytest.approx([1 / 16, 1 / 16], abs=1e-4)
    assert verdict.decision == "undecided"
    one_more = scores(range(56), gsm8k=range(55))  # the smaller p-value counts twice, the larger once
    verdict = decide(asks(gain(), gain(benchmark="gsm8k")), start, start, one_more, None)
    assert [said.met_p for said in verdict.benchmarks] == pytest.approx([1 / 32, 1 / 32], abs=1e-4)
    assert verdict.decision == "promote"


@pytest.mark.parametrize("solved", [0, 15, 30])
def test_no_change_on_30_problems_is_no_proof_that_little_was_lost(solved: int) -> None:
    nothing, same = scores(range(0), n=30), scores(range(solved), n=30)
    narrow, wide = (asks(guard(margin, min_accuracy=0.1)) for margin in (0.05, 0.1))
    verdict = decide(narrow, nothing, same, same, None)
    assert verdict.decision == ("undecided" if solved else "keep")
    assert "It must be less than 5.0 points worse than each, and better than the base model." in verdict.reasons[0]
    assert "neither shown" in verdict.reasons[0]
    assert decide(wide, nothing, same, same, None).decision == ("promote" if solved else "keep")


def test_a_wreck_is_not_promoted_for_being_no_worse_than_a_wreck() -> None:
    verdict = decide(asks(guard(0.1, min_accuracy=0.1)), NOTHING, NOTHING, NOTHING, None)
    assert verdict.decision == "keep"
    assert verdict.reasons[1] == "On heldout the candidate does not reach the least accuracy, 10.0%."
    spoilt = scores(range(20))
    verdict = decide(asks(guard(0.1, min_accuracy=0.1)), spoilt, spoilt, spoilt, spoilt)
    assert verdict.decision == "undecided", "better than the base model, where no benchmark asks for a gain"


def test_a_candidate_that_only_beats_a_spoilt_sft_model_is_refused() -> None:
    spoilt = scores(range(20))
    verdict = decide(GATE, scores(range(50)), spoilt, scores(range(50)), None)
    assert verdict.decision == "undecided"
    assert verdict.benchmarks[0].comparisons["base"].mean == 0
    assert decide(GATE, scores(range(60)), spoilt, scores(range(50)), None).decision == "keep"
    assert decide(GATE, scores(range(40)), spoilt, scores(range(50)), None).decision == "promote"


def test_the_least_accuracy_holds_whatever_was_gained() -> None:
    high = asks(gain(min_accuracy=0.6))
    assert decide(high, NOTHING, NOTHING, scores(range(60)), None).decision == "promote"
    assert decide(high, NOTHING, NOTHING, scores(range(59)), None).decision == "keep"


def test_a_gate_of_guards_alone_needs_a_floor() -> None:
    with pytest.raises(ValueError, match=r"no benchmark of the gate asks for a gain .*; set min_accuracy"):
        asks(guard(0.02), guard(0.02, "gsm8k"))
    assert asks(guard(0.02), gain(benchmark="gsm8k")).only_guards is False


@pytest.mark.parametrize("asked", [{}, {"at_least": 0.0, "not_worse_than": 0.1}])
def test_a_benchmark_asks_one_thing(asked: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="heldout needs one of at_least"):
        GateBenchmark.model_validate({"benchmark": "heldout"} | asked)


@pytest.mark.parametrize(("gained", "decision"), [(1, "undecided"), (3, "undecided"), (4, "undecided"), (5, "promote")])
def test_a_handful_of_30_problems_is_judged_by_the_sign_test(gained: int, decision: str) -> None:
    nothing = scores(range(0), n=30)  # 1 in 2^gained by chance
    assert decide(GATE, nothing, nothing, scores(range(gained), n=30), None).decision == decision


def test_two_problems_prove_nothing() -> None:
    nothing, everything = scores(range(0), n=2), scores(range(2), n=2)
    assert decide(GATE, nothing, nothing, everything, None).decision == "undecided"
    assert decide(GATE, everything, everything, nothing, everything).decision == "undecided"


def of_answers(right: np.ndarray) -> dict[str, BenchmarkResult]:
    correct = right.astype(float).tolist()
    found = result(range(0), n=len(correct))
    return {"heldout": found.model_copy(update={"correct": tuple(correct), "accuracy": sum(correct) / len(correct)})}


@pytest.mark.parametrize("accuracy", [0.03, 0.5, 0.97])
@pytest.mark.parametrize(("problems", "runs"), [(30, 2000), (500, 200)])
def test_a_candidate_that_is_no_better_is_rarely_promoted(accuracy: float, problems: int, runs: int) -> None:
    rng = np.random.default_rng(0)
    candidates, starts = rng.random((2, runs, problems)) < accuracy
    known: dict[tuple[int, int], bool] = {}  # the verdict depends on how many problems were gained and lost
    promoted = 0
    for candidate, start in zip(candidates, starts, strict=True):
        outcome = (int((candidate & ~start).sum()), int((start & ~candidate).sum()))
        if outcome not in known:
            before, after = of_answers(start), of_answers(candidate)
            known[outcome] = decide(GATE, before, before, after, None).decision == "promote"
        promoted += known[outcome]
    assert promoted / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_all_or_nothing_scores_are_decided_without_a_division_by_zero() -> None:
    nothing, everything = scores(range(0)), scores(range(100))
    assert decide(GATE, nothing, nothing, everything, nothing).decision == "promote"
    assert decide(GATE, everything, everything, everything, None).decision == "undecided"
    assert decide(GATE, nothing, nothing, scores(range(50)), everything).decision == "keep"


def test_a_model_that_was_evaluated_on_other_problems_is_an_error() -> None:
    other = {"heldout": result(range(50), ids="q")}
    for models in ((SFT, other, None), (other, SFT, None), (SFT, SFT, other)):
        base, sft, champion = models
        with pytest.raises(GiftError, match="not evaluated on the same problems"):
            decide(GATE, base, sft, scores(range(60)), champion)


@pytest.mark.parametrize("lacking", [{}, {"gsm8k": result(range(50))}, {"heldout": result(range(50), task="gsm8k")}])
def test_a_result_that_is_missing_is_an_error(lacking: dict[str, BenchmarkResult]) -> None:
    with pytest.raises(GiftError, match="judges heldout, but the evaluation of the candidate has no such result"):
        decide(GATE, SFT, SFT, lacking, None)


def test_a_verdict_survives_json() -> None:
    verdict = decide(GAIN_AND_GUARD, *3 * [scores(range(60), gsm8k=range(50))], None, Opponent(model="m", version="7"))
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict

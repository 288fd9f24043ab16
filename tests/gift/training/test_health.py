"""A training is stopped for what it does not come back from, and for nothing that a healthy one shows."""

import json
import math
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gift.config import load_profile
from gift.errors import GiftError
from gift.training.health import Health, HealthState

HEALTHY = {"reward": 0.5, "frac_reward_zero_std": 0.5, "kl": 0.1, "entropy": 1.0, "completions/mean_length": 20.0}
FACTOR = "health.gradient_norm_factor=100"
LOCAL_RESULTS = sorted(Path(__file__).parents[2].glob("docs/results/local/*.json"))


def health(*settings: str, state: HealthState | None = None) -> Health:
    return Health(load_profile("local", ("health.patience=3", *settings)), state or HealthState())


def updates(patient: Health, norms: Sequence[float]) -> list[bool]:
    taken = []
    for norm in norms:
        refused = patient.refuses(norm)
        taken.append(patient.note_update(norm))
        assert taken[-1] != refused
    return taken


def stops(patient: Health, metrics: dict[str, float] | None = None) -> str | None:
    """Why training stops after a step that is healthy but for `metrics`."""
    return patient.judge(1.0, HEALTHY | (metrics or {})).stop


@pytest.mark.parametrize("norm", [math.nan, math.inf, -1.0])
def test_a_gradient_that_is_not_finite_is_left_out_from_the_first_update_on(norm: float) -> None:
    assert updates(health(), [norm, 1.0]) == [False, True]


def test_a_gradient_far_larger_than_usual_is_left_out() -> None:
    assert updates(health(FACTOR), [1.0] * 10 + [99.0, 101.0, 99.0]) == [True] * 11 + [False, True]
    assert all(updates(health(), [1.0] * 10 + [1e30]))


def test_what_is_usual_moves_with_training_and_is_unknown_at_its_start() -> None:
    assert all(updates(health(FACTOR), [1e-9, 1.0, 50.0]))
    assert all(updates(health(FACTOR), [1.1**step for step in range(200)]))


def test_so_many_updates_in_a_row_stop_training() -> None:
    patient = health("health.sick_updates=3")
    updates(patient, [math.inf, math.inf])
    assert stops(patient) is None
    updates(patient, [1.0, math.inf, math.inf])
    assert stops(patient) is None
    updates(patient, [math.nan])
    assert str(stops(patient)).startswith(
        "training is sick: 3 updates in a row had to be left out, as the gradient is not finite; lower"
    )


def test_an_update_that_was_left_out_is_told_of_once() -> None:
    patient = health()
    updates(patient, [math.inf, 1.0])
    assert patient.judge(1.0).left_out == "the gradient is not finite"
    assert patient.judge(1.0).left_out is None


def test_one_update_stops_training_where_the_profile_says_so_even_if_the_next_was_taken() -> None:
    patient = health("health.sick_update=stop")
    updates(patient, [math.inf, 1.0])
    assert "an update had to be left out" in str(stops(patient))


@pytest.mark.parametrize("largest", [math.inf, math.nan, 2001.0])
def test_weights_that_grow_out_of_all_proportion_stop_training(largest: float) -> None:
    patient = health()
    assert [patient.judge(healthy).stop for healthy in (2.0, 1999.0, 0.1)] == [None] * 3
    assert str(patient.judge(largest).stop).startswith("training is sick: a weight has grown to")


def test_training_does_not_end_with_updates_left_out() -> None:
    patient = health()
    updates(patient, [math.inf])
    patient.check_end()
    updates(patient, [math.inf])
    with pytest.raises(GiftError, match="its last 2 updates"):
        patient.check_end()


@pytest.mark.parametrize(
    ("setting", "sick", "named"),
    [
        ("health.max_kl=5", {"kl": 6.0}, "kl was beyond health.max_kl, at last 6;"),
        ("health.max_kl=5", {"kl": math.nan}, "kl was beyond"),
        ("health.max_kl=5", {"kl": math.inf}, "kl was beyond"),
        ("health.min_entropy=0.1", {"entropy": 0.01}, "entropy was beyond health.min_entropy"),
        ("health.max_entropy=5", {"entropy": 5.5}, "entropy was beyond health.max_entropy"),
        ("health.max_mean_length=40", {"completions/mean_length": 41.0}, "mean_length was beyond"),
        ("health.patience=3", {"frac_reward_zero_std": 1.0}, "all rewards in each group were equal"),
        ("health.patience=3", {"rewards/math/errors": 10**6}, "the reward math could judge no response"),
    ],
)
def test_what_lasts_stops_training_and_what_passes_does_not(setting: str, sick: dict[str, float], named: str) -> None:
    patient = health(setting)
    assert [stops(patient, metrics) for metrics in (sick, sick, {}, sick, sick)] == [None] * 5
    assert re.fullmatch(f"training is sick: for 3 steps .*{named}.*or raise health.patience", str(stops(patient, sick)))


def test_a_policy_that_has_learned_all_is_not_sick() -> None:
    patient = health()
    for reward in (0.1, 0.6, *[1.0] * 10):
        assert stops(patient, {"reward": reward, "frac_reward_zero_std": float(reward == 1.0)}) is None


def test_some_responses_that_can_not_be_judged_are_not_sick() -> None:
    patient = health()
    for _ in range(10):
        assert stops(patient, {"rewards/math/errors": 3.0}) is None


def warnings(patient: Health, steps: Sequence[dict[str, float]]) -> dict[int, str]:
    """Step, counted from 1 → what it warns of; none stops training."""
    judgements = [patient.judge(1.0, HEALTHY | metrics) for metrics in steps]
    assert [judgement.stop for judgement in judgements] == [None] * len(steps)
    return {step: judgement.warning for step, judgement in enumerate(judgements, 1) if judgement.warning}


def then(name: str, usual: float, sick: float, steps: int = 30) -> list[dict[str, float]]:
    """A metric that is as usual for 30 steps, within a tenth, and sick from then on."""
    noise = random.Random(0)
    return [{name: value * noise.uniform(0.9, 1.1)} for value in (*[usual] * 30, *[sick] * steps)]


@pytest.mark.parametrize(
    ("name", "usual", "sick"),
    [
        ("kl", 0.05, 3.0),
        ("entropy", 0.5, 0.005),
        ("entropy", 0.5, 8.0),
        ("completions/mean_length", 300.0, 4000.0),
        ("completions/mean_length", 300.0, 2.0),
    ],
)
def test_what_runs_away_from_its_own_history_is_warned_of_once(name: str, usual: float, sick: float) -> None:
    """What is sick does not become usual, however long it lasts."""
    ((step, warning),) = warnings(health("health.patience=60"), then(name, usual, sick, steps=200)).items()
    assert 30 + 60 <= step <= 30 + 60 + 5
    assert warning.startswith(f"for 60 steps {name} was far from its history, at last ")
    assert warnings(health("health.runaway_factor=null"), then(name, usual, sick)) == {}


def test_where_the_profile_says_so_it_stops_training() -> None:
    patient = health("health.runaway=stop")
    judgements = [patient.judge(1.0, HEALTHY | metrics) for metrics in then("kl", 0.05, 3.0)]
    stop = next(judgement.stop for judgement in judgements if judgement.stop)
    assert re.fullmatch(
        r"training is sick: for 3 steps kl was far .*\(health.runaway_factor\); .* health.patience", stop
    )
    assert all(judgement.warning is None for judgement in judgements)


@pytest.mark.parametrize("report", LOCAL_RESULTS, ids=lambda path: path.stem)
def test_trainings_that_were_well_are_not_warned_of(report: Path) -> None:
    """Their entropy falls to two fifths, and their KL grows to its six-fold."""
    curves = json.loads(report.read_text())["curves"]
    curve = {name: dict(points) for name, points in (curves.get("train-policy") or curves["train-gift"]).items()}
    steps = [{name: curve[name][step] for name in HEALTHY} for step in sorted(curve["kl"])]
    assert len(steps) == 80
    assert warnings(health("health.patience=1"), steps) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kl", lambda step: 1e-7 * step**4),  # as with a rising learning rate, to 0.9 nats
        ("kl", lambda step: 0.2 * step),
        ("entropy", lambda step: 2.0 * 0.97**step),
        ("entropy", lambda step: 0.0 if step % 7 else 0.3),
        ("completions/mean_length", lambda step: 200 * 1.02**step),
        ("completions/mean_length", lambda step: 5000.0 if step == 40 else 200.0),
        ("kl", lambda step: math.nan if step == 40 else 0.1),
        ("kl", lambda step: 1e6 if step == 40 else 0.1),
    ],
)
def test_what_moves_with_training_or_passes_is_not_warned_of(name: str, value: Callable[[int], float]) -> None:
    assert warnings(health("health.patience=6"), [{name: value(step)} for step in range(55)]) == {}


def test_responses_of_another_policy_have_no_entropy_that_could_run_away() -> None:
    patient = health("algorithm=dpo")
    assert warnings(patient, then("entropy", 0.5, 0.005)) == {}


def test_a_resumed_training_judges_as_one_that_was_not_interrupted() -> None:
    patient = health(FACTOR)
    updates(patient, [1.0] * 12)
    assert [stops(patient, {"kl": math.inf}) for _ in range(2)] == [None, None]
    resumed = health(FACTOR, state=HealthState.model_validate_json(patient.state.model_dump_json()))
    assert updates(resumed, [101.0]) == [False]
    assert "for 3 steps kl" in str(stops(resumed, {"kl": math.inf}))


def test_a_resumed_training_knows_what_was_usual() -> None:
    patient, steps = health(), then("entropy", 0.5, 0.005)
    assert warnings(patient, steps[:33]) == {}
    resumed = health(state=HealthState.model_validate_json(patient.state.model_dump_json()))
    assert len(warnings(resumed, steps[33:])) == 1

"""The chain of stages that a run waited for, from the times that they logged."""

import pytest

from gift.report.critical_path import critical_path
from gift.report.schema import PathStep
from gift.tracking import StageRecord


def a_record(began: float, start_up: float, seconds: float, ended: float | None) -> StageRecord:
    return StageRecord(
        status="FINISHED" if ended else "RUNNING",
        seconds=seconds,
        began=began,
        start_up=start_up,
        ended=ended,
        reused=False,
        output=None,
        output_digest=None,
        curves={},
    )


def test_one_after_the_other_every_second_of_the_run_is_somewhere() -> None:
    records = {
        "prepare-data": a_record(110, 4, 6, 120),
        "train-sft": a_record(140, 5, 55, 200),
        "report": a_record(230, 2, 0, None),
    }
    path = critical_path(100, records, now=240)
    assert path == (
        PathStep(stage="prepare-data", waiting=10, start_up=4, computing=6),
        PathStep(stage="train-sft", waiting=20, start_up=5, computing=55),
        PathStep(stage="report", waiting=30, start_up=2, computing=8),
    )
    assert sum(step.waiting + step.start_up + step.computing for step in path) == 240 - 100


def test_what_ran_beside_a_longer_stage_is_not_on_the_path() -> None:
    records = {
        "prepare-model": a_record(0, 1, 9, 10),
        "evaluate-base": a_record(12, 1, 7, 20),
        "train-sft": a_record(11, 1, 88, 100),
        "gate": a_record(105, 1, 4, 110),
    }
    assert [step.stage for step in critical_path(0, records, now=110)] == ["prepare-model", "train-sft", "gate"]


def test_no_training_waits_for_an_evaluation_that_happens_to_end_before_it() -> None:
    records = {
        "prepare-model": a_record(0, 1, 9, 10),
        "train-sft": a_record(11, 1, 88, 100),
        "evaluate-base": a_record(12, 1, 91, 104),
        "train-policy": a_record(105, 1, 94, 200),
        "evaluate-sft": a_record(106, 1, 103, 210),
        "gate": a_record(211, 1, 8, 220),
    }
    path = [step.stage for step in critical_path(0, records, now=220)]
    assert path == ["prepare-model", "evaluate-base", "evaluate-sft", "gate"]
    records["evaluate-sft"] = a_record(106, 1, 82, 190)
    path = [step.stage for step in critical_path(0, records, now=220)]
    assert path == ["prepare-model", "train-sft", "train-policy", "gate"]


def test_a_killed_attempt_and_the_pause_after_it_are_waiting() -> None:
    twice = a_record(10, 6, 40, 200)  # started at 10 and at 157, and 3 s each until it computed
    (step,) = critical_path(0, {"train-sft": twice}, now=200)
    assert (step.waiting, step.start_up, step.computing) == (154, 6, 40)


@pytest.mark.parametrize("difference", [0.5, -0.5])
def test_clocks_of_two_machines_may_differ_a_little(difference: float) -> None:
    records = {"one": a_record(0, 1, 9, 10), "two": a_record(10 + difference, 1, 9, 20 + difference)}
    path = critical_path(0, records, now=30)
    assert [step.stage for step in path] == ["one", "two"]
    assert path[1].waiting == pytest.approx(max(0, difference))


def test_without_stages_there_is_no_path() -> None:
    assert critical_path(0, {}, now=1) == ()

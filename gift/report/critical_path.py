"""What a run waited for: the chain of stages, each of which could not start before the one before it had ended.

Measured from what the stages wrote to MLflow, so the same for every runner. Left out: why a stage waited; a pod that
starts, a node that is full, and an attempt that was killed look the same from here.
"""

from collections.abc import Mapping

from gift.report.schema import PathStep
from gift.tracking import StageRecord

BESIDE_TRAINING = ("evaluate-base", "evaluate-sft")
"""No training and no conversion waits for them, whenever they end."""
CLOCKS_DIFFER = 1.0
"""Seconds between the clocks of two machines."""


def critical_path(opened: float, records: Mapping[str, StageRecord], now: float) -> tuple[PathStep, ...]:
    """From the first stage to the one that ends last.

    Args:
        opened: when the run was; like `now`, seconds since 1970.
        now: the end of stages that still run.
    """
    ends = {stage: record.ended or now for stage, record in records.items()}
    steps: list[PathStep] = []
    stage = max(ends, key=ends.__getitem__, default=None)
    while stage is not None:
        before = _before(stage, records, ends)
        steps.insert(0, _step(stage, records[stage], ends[before] if before else opened, ends[stage]))
        stage = before
    return tuple(steps)


def _before(stage: str, records: Mapping[str, StageRecord], ends: Mapping[str, float]) -> str | None:
    """The last stage to end before this one began."""
    began = records[stage].began
    not_waited_for = BESIDE_TRAINING if stage.startswith(("train-", "convert-")) else ()
    earlier = [
        other
        for other, record in records.items()
        if record.began < began and ends[other] <= began + CLOCKS_DIFFER and other not in not_waited_for
    ]
    return max(earlier, key=ends.__getitem__, default=None)


def _step(stage: str, record: StageRecord, free: float, end: float) -> PathStep:
    computing = record.seconds if record.ended else max(0.0, end - record.began - record.start_up)
    waiting = max(0.0, end - free - record.start_up - computing)
    return PathStep(stage=stage, waiting=waiting, start_up=record.start_up, computing=computing)

"""What the stages of a run left in MLflow: read by the report, and to find out which stage failed."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter

from gift.tracking.client import MlflowClient
from gift.tracking.entities import Metric, Run
from gift.tracking.entries import STAGE_TAG, stage_runs
from gift.tracking.faults import explain_errors
from gift.tracking.stage import SECONDS, START_UP

REUSED_TAG = "gift.reused"
OUTPUT_TAG = "gift.output"
OUTPUT_DIGEST_TAG = "gift.output_digest"
SYSTEM_PREFIX = "system/"
"""How the names of MLflow's system metrics begin; they are for its own page, and no part of a record."""


@dataclass(frozen=True)
class StageRecord:
    """One stage of a run."""

    status: str
    """MLflow's: RUNNING, FINISHED, FAILED or KILLED."""
    seconds: float
    """Wall-clock, over all attempts; 0 while it runs."""
    began: float
    """When its first process started, in seconds since 1970."""
    start_up: float
    """Seconds of its processes before the stage itself, over all attempts."""
    ended: float | None
    """When it closed its run, in seconds since 1970; None while it runs, and where it was killed."""
    reused: bool
    """The output was there already, made by an earlier run."""
    output: str | None
    """URI of the directory it wrote."""
    output_digest: str | None
    curves: dict[str, tuple[tuple[int, float], ...]]
    """metric → (step, value), for metrics with more than one step."""


def stage_records(parent_run_id: str) -> dict[str, StageRecord]:
    """The stages in the order in which they started.

    Raises:
        GiftError: MLflow is not reachable, or refuses.
    """
    with explain_errors("reading what the stages logged"):
        client = MlflowClient()
        attempts: dict[str, list[Run]] = defaultdict(list)
        for run in stage_runs(client, client.get_run(parent_run_id)):
            attempts[run.tags[STAGE_TAG]].append(run)
        return {stage: _record(client, runs) for stage, runs in attempts.items()}


def parent_started(parent_run_id: str) -> float:
    """When the run was opened, in seconds since 1970.

    Raises:
        GiftError: MLflow is not reachable, or refuses.
    """
    with explain_errors("reading when the run was opened"):
        return MlflowClient().get_run(parent_run_id).start_time / 1000


def _record(client: MlflowClient, runs: list[Run]) -> StageRecord:
    """Of all runs of one stage: «Retry» on KFP's page opens another one where KFP opens them."""
    tags, histories = runs[-1].tags, _histories(client, runs)
    starts = histories[START_UP]
    return StageRecord(
        status=runs[-1].status,
        seconds=sum(run.metrics.get(SECONDS, 0.0) for run in runs),
        began=min((start.timestamp / 1000 - start.value for start in starts), default=runs[0].start_time / 1000),
        start_up=sum(start.value for start in starts),
        ended=_ended(starts, histories[SECONDS]),
        reused=tags.get(REUSED_TAG) == "true",
        output=tags.get(OUTPUT_TAG),
        output_digest=tags.get(OUTPUT_DIGEST_TAG),
        curves=_curves(histories),
    )


def _ended(starts: list[Metric], ends: list[Metric]) -> float | None:
    """When the newest attempt logged its seconds, if it did."""
    started = max((start.timestamp for start in starts), default=0)
    ended = max((end.timestamp for end in ends), default=0)
    return ended / 1000 if ended and ended >= started else None


def _histories(client: MlflowClient, runs: list[Run]) -> dict[str, list[Metric]]:
    histories: dict[str, list[Metric]] = defaultdict(list)
    for run in runs:
        for name in (name for name in run.metrics if not name.startswith(SYSTEM_PREFIX)):
            histories[name] += client.get_metric_history(run.run_id, name)
    return histories


def _curves(histories: Mapping[str, list[Metric]]) -> dict[str, tuple[tuple[int, float], ...]]:
    return {
        # Of a step that was done twice, by a training that went on from a checkpoint, the later one counts.
        name: tuple(sorted({entry.step: entry.value for entry in sorted(history, key=attrgetter("timestamp"))}.items()))
        for name, history in histories.items()
        if len({entry.step for entry in history}) > 1
    }

"""Around the stages of a pipeline run: open its MLflow run, and close it.

start_run       the first task
run_last_stage  the last task of a run that succeeds closes it: KFP's «Retry» starts that, and no exit handler
finish_run      the exit handler, for what failed; it does again nothing that the last task did
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack

from gift.config import RunConfig, parse_config
from gift.errors import GiftError
from gift.execution.stage import exit_on_fault, run_stage
from gift.gate.power import sensitivity_lines
from gift.patience import ServicePatience
from gift.progress import start_log
from gift.stages.evaluate_champion import warn_if_not_comparable
from gift.tracking import (
    StageRecord,
    finish_parent_run,
    open_parent_run,
    parent_has_finished,
    stage_records,
    start_parent_run,
)
from gift.webhook import RunEnd, post_run_end

SUCCEEDED = ("SUCCEEDED", "COMPLETE")
"""The words of kfp's local runner and of its backend."""
UNKNOWN = "RUNNING"
"""The backend's word where a task died without a word, or its own record of the last one was lost."""


def start_run(config: str, run_id: str) -> str:
    """Returns: the MLflow run that all stages are nested in; the same one when the task is retried.

    What the gate's benchmarks can show at all, and what would keep it from comparing with the champion, are printed
    lines now, not a surprise after the training.
    """
    start_log("start-run")
    with exit_on_fault():
        if "{{" in run_id:
            raise GiftError(
                f"the platform did not replace {run_id} by the run's id, so all runs would be one; "
                "use Kubeflow Pipelines 2.5 or newer"
            )
        parsed = parse_config(config)
        patiently = ServicePatience.of(parsed)
        parent_run_id = patiently(lambda: start_parent_run(parsed, run_id))
        patiently(lambda: warn_if_not_comparable(parsed))
        for line in sensitivity_lines(parsed):
            print(f"  gate: {line}", flush=True)
        print(f"  opened MLflow run {parent_run_id}", flush=True)
        return parent_run_id


def run_last_stage(
    function: Callable[..., str], *, config: str, run_id: str, parent_run_id: str, **inputs: str | dict[str, str]
) -> str:
    """`run_stage` for the last stage of a pipeline; then the run is FINISHED, whatever an earlier attempt at it was,
    and the webhook in the environment, if any, is told.

    Its work is done: an MLflow that is away, or refuses, is a warning, and the exit handler's to report.
    """
    made = run_stage(function, config=config, run_id=run_id, parent_run_id=parent_run_id, label="", **inputs)
    parsed = parse_config(config)
    try:
        ServicePatience.of(parsed)(lambda: finish_parent_run(parent_run_id, "FINISHED", None))
    except GiftError as error:
        print(f"  warning: the run is not closed yet: {error}", flush=True)
        return made
    post_run_end(_end(parsed, run_id).model_copy(update={"mlflow_run": parent_run_id}))
    return made


def finish_run(config: str, run_id: str, state: str) -> None:
    """Mark a run that its last stage has not closed: as failed in its first stage that did not finish, or as finished.
    It is opened first if need be.

    `state` is KFP's word for what the exit handler encloses; where KFP does not know, a run that its last stage closed
    has succeeded. The webhook in the environment, if any, is told, and what still trains on several nodes is cancelled;
    also when MLflow does not answer, which then fails the task.
    """
    start_log("finish-run")
    with exit_on_fault(), ExitStack() as whatever_happens:
        parsed = parse_config(config)
        if parsed.compute.nodes > 1:
            from gift.execution.train_on_nodes import cancel_training  # loads Kubernetes' models

            whatever_happens.callback(cancel_training, run_id)
        end: RunEnd | None
        opened = end = _end(parsed, run_id, succeeded=state in SUCCEEDED)
        may_be_closed = state in (*SUCCEEDED, UNKNOWN)
        try:
            end = ServicePatience.of(parsed)(lambda: _record(parsed, opened, may_be_closed=may_be_closed))
        finally:
            if end is not None:
                post_run_end(end)


def _end(config: RunConfig, run_id: str, *, succeeded: bool = True) -> RunEnd:
    """What is known without MLflow."""
    return RunEnd(
        run_id=run_id,
        experiment=config.experiment,
        state="FINISHED" if succeeded else "FAILED",
        failed_stage=None,
        mlflow_run=None,
    )


def _record(config: RunConfig, end: RunEnd, *, may_be_closed: bool) -> RunEnd | None:
    """Close the MLflow run; returns `end` with what MLflow knows about it, or None where the last stage did it all."""
    if may_be_closed and parent_has_finished(config, end.run_id):
        print("  closed by its last stage", flush=True)
        return None
    parent_run_id = open_parent_run(config, end.run_id)  # no files: MLflow's store may be what ended the run
    failed_stage = None if end.state == "FINISHED" else _failed_stage(stage_records(parent_run_id))
    finish_parent_run(parent_run_id, end.state, failed_stage)
    print(f"  closed MLflow run {parent_run_id}: {end.state}{f' ({failed_stage})' if failed_stage else ''}", flush=True)
    return end.model_copy(update={"failed_stage": failed_stage, "mlflow_run": parent_run_id})


def _failed_stage(records: Mapping[str, StageRecord]) -> str:
    """The first stage that did not finish; a task that died before it opened its MLflow run is known by the last."""
    unfinished = [name for name, record in records.items() if record.status != "FINISHED"]
    if unfinished:
        return unfinished[0]
    return f"after {list(records)[-1]}" if records else "before the first stage"

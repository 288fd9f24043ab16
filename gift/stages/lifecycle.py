"""The first and the last task of a pipeline run: open its MLflow run, and close it however the pipeline ended."""

from collections.abc import Mapping
from contextlib import ExitStack

from gift.config import RunConfig, parse_config
from gift.errors import GiftError
from gift.execution.stage import exit_on_fault
from gift.patience import ServicePatience
from gift.progress import print_banner
from gift.stages.champion import warn_if_not_comparable
from gift.tracking import StageRecord, finish_parent_run, stage_records, start_parent_run
from gift.webhook import RunEnd, post_run_end

SUCCEEDED = ("SUCCEEDED", "COMPLETE")
"""The words of kfp's local runner and of its backend."""
UNKNOWN = "RUNNING"
"""The backend's word where a task died without a word, or its own record of the last one was lost."""
LAST_STAGE = "report"


def start_run(config: str, run_id: str) -> str:
    """Returns: the MLflow run that all stages are nested in; the same one when the task is retried.

    What would keep the gate from comparing with the champion is a printed line now, not a surprise after the training.
    """
    print_banner("start-run")
    with exit_on_fault():
        if "{{" in run_id:
            raise GiftError(
                f"the platform did not replace {run_id} by the run's id, so all runs would be one; "
                "use Kubeflow Pipelines 2.5 or newer"
            )
        parsed = parse_config(config)
        parent_run_id = ServicePatience.of(parsed)(lambda: start_parent_run(parsed, run_id))
        warn_if_not_comparable(parsed)
        return parent_run_id


def finish_run(config: str, run_id: str, state: str) -> None:
    """Mark the run as finished, or as failed in its first stage that did not finish; it is opened first if need be.

    `state` is KFP's word for what the exit handler encloses; where KFP does not know, a run with a finished report is.
    The webhook in the environment, if any, is told, and what still trains on several nodes is cancelled; also when
    MLflow does not answer, which then fails the task.
    """
    print_banner("finish-run")
    with exit_on_fault(), ExitStack() as whatever_happens:
        parsed = parse_config(config)
        if parsed.compute.nodes > 1:
            from gift.execution.train_on_nodes import cancel_training  # loads Kubernetes' models

            whatever_happens.callback(cancel_training, run_id)
        end = RunEnd(
            run_id=run_id,
            experiment=parsed.experiment,
            state="FINISHED" if state in SUCCEEDED else "FAILED",
            failed_stage=None,
            mlflow_run=None,
        )
        try:
            opened = end
            end = ServicePatience.of(parsed)(lambda: _record(parsed, opened, may_have_finished=state == UNKNOWN))
        finally:
            post_run_end(end)


def _record(config: RunConfig, end: RunEnd, may_have_finished: bool) -> RunEnd:
    """Close the MLflow run; returns `end` with what MLflow knows about it."""
    parent_run_id = start_parent_run(config, end.run_id)
    records = stage_records(parent_run_id)
    state = end.state
    if may_have_finished and LAST_STAGE in records and records[LAST_STAGE].status == "FINISHED":
        state = "FINISHED"
    failed_stage = None if state == "FINISHED" else _failed_stage(records)
    finish_parent_run(parent_run_id, state, failed_stage)
    return end.model_copy(update={"state": state, "failed_stage": failed_stage, "mlflow_run": parent_run_id})


def _failed_stage(records: Mapping[str, StageRecord]) -> str:
    """The first stage that did not finish; a task that died before it opened its MLflow run is known by the last."""
    unfinished = [name for name, record in records.items() if record.status != "FINISHED"]
    if unfinished:
        return unfinished[0]
    return f"after {list(records)[-1]}" if records else "before the first stage"

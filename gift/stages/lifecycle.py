"""The first and the last task of a pipeline run: open its MLflow run, and close it however the pipeline ended."""

from gift.config import parse_config
from gift.progress import BANNER
from gift.stages.stage import one_line_errors
from gift.tracking import finish_parent_run, stage_records, start_parent_run


def start_run(config: str, run_id: str) -> str:
    """Returns: the MLflow run that all stages are nested in; the same one when the task is retried."""
    print(f"{BANNER}start-run", flush=True)
    with one_line_errors():
        return start_parent_run(parse_config(config), run_id)


def finish_run(config: str, run_id: str, succeeded: bool) -> None:
    """Mark the run as finished, or as failed in its first stage that did not finish; it is opened first if need be."""
    with one_line_errors():
        parent_run_id = start_parent_run(parse_config(config), run_id)
        if succeeded:
            finish_parent_run(parent_run_id, "FINISHED", failed_stage=None)
        else:
            unfinished = [name for name, record in stage_records(parent_run_id).items() if record.status != "FINISHED"]
            finish_parent_run(parent_run_id, "FAILED", failed_stage=next(iter(unfinished), "before the first stage"))

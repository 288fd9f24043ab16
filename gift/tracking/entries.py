"""What parent and stage runs share: finding runs by their tags, and logging that may be repeated.

Left out on purpose: any state. A retry is another process, so everything is looked up on the server.
"""

from collections.abc import Mapping

from gift.errors import GiftError
from gift.tracking.client import MlflowClient
from gift.tracking.entities import Run

PARENT_TAG = "mlflow.parentRunId"
STAGE_TAG = "gift.stage"
PIPELINE_TAG = "gift.parent_run_id"
"""Of a stage's run: the pipeline run's, which need not be the next one above it."""
RUN_ID_TAG = "gift.run_id"

MAX_PARAM_LENGTH = 6000  # mlflow.utils.validation.MAX_PARAM_VAL_LENGTH


def find_run(client: MlflowClient, experiment_id: str, tags: Mapping[str, str]) -> Run | None:
    """The newest run of the experiment that carries all `tags`."""
    condition = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    return next(client.search_runs(experiment_id, condition), None)


def stage_runs(client: MlflowClient, parent: Run) -> list[Run]:
    """The runs of the stages of `parent`, in the order in which they started."""
    condition = f"tags.`{PIPELINE_TAG}` = '{parent.run_id}'"
    return list(client.search_runs(parent.experiment_id, condition, order_by=["attributes.start_time ASC"]))


def log_params(client: MlflowClient, run: Run, params: Mapping[str, object]) -> None:
    """Log the parameters that `run` does not have yet, cut to the length that MLflow takes.

    Raises:
        GiftError: a parameter is there with another value (MLflow never changes one).
    """
    known = run.params
    values = {key: str(value)[:MAX_PARAM_LENGTH] for key, value in params.items()}
    for key, value in values.items():
        if known.get(key, value) != value:
            raise GiftError(
                f"the MLflow run {run.run_id} already has {key} = {known[key]!r}, not {value!r}; "
                "start a new run to change a parameter"
            )
    client.log_params(run.run_id, {key: value for key, value in values.items() if key not in known})

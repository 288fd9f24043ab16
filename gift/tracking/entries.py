"""What parent and stage runs share: finding runs by their tags, and logging that may be repeated.

Left out on purpose: any state. A retry is another process, so everything is looked up on the server.
"""

from collections.abc import Mapping

from mlflow.entities import Param, Run, RunTag
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from gift.errors import GiftError

STAGE_TAG = "gift.stage"

MAX_PARAM_LENGTH = 6000  # mlflow.utils.validation.MAX_PARAM_VAL_LENGTH


def find_run(client: MlflowClient, experiment_id: str, tags: Mapping[str, str]) -> Run | None:
    """The newest run of the experiment that carries all `tags`."""
    condition = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    return next(iter(client.search_runs([experiment_id], condition, max_results=1)), None)


def nested_runs(client: MlflowClient, parent: Run) -> list[Run]:
    """The runs of the stages of `parent`, in the order in which they started."""
    condition = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent.info.run_id}'"
    runs = client.search_runs([parent.info.experiment_id], condition, order_by=["attributes.start_time ASC"])
    # A platform may nest runs of its own under the same parent.
    return [run for run in runs if STAGE_TAG in run.data.tags]


def log_params(client: MlflowClient, run: Run, params: Mapping[str, object]) -> None:
    """Log the parameters that `run` does not have yet, cut to the length that MLflow takes.

    Raises:
        GiftError: a parameter is there with another value (MLflow never changes one).
    """
    known = run.data.params
    values = {key: str(value)[:MAX_PARAM_LENGTH] for key, value in params.items()}
    for key, value in values.items():
        if known.get(key, value) != value:
            raise GiftError(
                f"the MLflow run {run.info.run_id} already has {key} = {known[key]!r}, not {value!r}; "
                "start a new run to change a parameter"
            )
    client.log_batch(run.info.run_id, params=[Param(key, value) for key, value in values.items() if key not in known])


def set_tags(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags in one request, replacing values that are there."""
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

"""The nested MLflow run of one stage: state, duration, and what the stage chooses to log.

A retried stage continues its run, so that the curves of a resumed training go on; `seconds` adds up over the attempts.

Left out on purpose: metrics of the training loop, which must not wait for a server (see `gift.tracking.metrics`).
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID

from gift.tracking.client import describe_outage, explain_outage, is_outage, mlflow_client
from gift.tracking.entries import STAGE_TAG, find_run, log_params, set_tags

SECONDS = "seconds"
DIGEST_TAG = "gift.digest"

MAX_DATASET_DIGEST_LENGTH = 36  # mlflow.utils.validation.MAX_DATASET_DIGEST_SIZE

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageRun:
    """What a stage writes to its run. Every method raises GiftError when MLflow is not reachable."""

    run_id: str

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log now, and wait for it. MLflow stores NaN as NaN, and ±inf as ±1.8e308."""
        now = int(time.time() * 1000)
        entries = [Metric(key, float(value), now, step) for key, value in metrics.items()]
        with explain_outage("logging metrics"):
            mlflow_client().log_batch(self.run_id, metrics=entries)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log each parameter once; raises GiftError when the run has another value already."""
        with explain_outage("logging parameters"):
            client = mlflow_client()
            log_params(client, client.get_run(self.run_id), params)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags, replacing values that are there."""
        with explain_outage("setting tags"):
            set_tags(mlflow_client(), self.run_id, tags)

    def log_artifact(self, path: Path) -> None:
        """Upload one file to the run's artifacts, under its own name."""
        with explain_outage(f"uploading {path.name}"):
            mlflow_client().log_artifact(self.run_id, str(path))

    def log_dataset_input(self, name: str, source_uri: str, digest: str, context: str) -> None:
        """Record that the stage read a data set, without loading it; `context` is for example "training".

        MLflow knows a data set by its name and the first 36 characters of its digest; the whole digest is a tag.
        """
        source_type = urlsplit(source_uri).scheme or "local"
        dataset = Dataset(name, digest[:MAX_DATASET_DIGEST_LENGTH], source_type, json.dumps({"uri": source_uri}))
        tags = [InputTag(MLFLOW_DATASET_CONTEXT, context), InputTag(DIGEST_TAG, digest)]
        with explain_outage(f"logging the data set {name}"):
            mlflow_client().log_inputs(self.run_id, datasets=[DatasetInput(dataset, tags)])


@contextmanager
def stage_run(parent_run_id: str, stage: str) -> Iterator[StageRun]:
    """The nested run of a stage: FINISHED, FAILED, or KILLED (interrupt, exit), with the metric `seconds`.

    A stage that has done its work does not fail because MLflow is away when it ends; that is logged as a warning.

    Raises:
        GiftError: MLflow is not reachable at the start.
    """
    with explain_outage(f"starting the stage {stage}"):
        client = mlflow_client()
        run = _open(client, parent_run_id, stage)
    earlier_seconds: float = run.data.metrics.get(SECONDS, 0.0)
    started = time.monotonic()
    status = "KILLED"
    try:
        yield StageRun(run.info.run_id)
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        _close(client, run.info.run_id, status, earlier_seconds + time.monotonic() - started)


def _open(client: MlflowClient, parent_run_id: str, stage: str) -> Run:
    experiment_id = client.get_run(parent_run_id).info.experiment_id
    tags = {MLFLOW_PARENT_RUN_ID: parent_run_id, STAGE_TAG: stage}
    run = find_run(client, experiment_id, tags)
    if run is None:
        return client.create_run(experiment_id, run_name=stage, tags=tags)
    client.update_run(run.info.run_id, status="RUNNING")
    return run


def _close(client: MlflowClient, run_id: str, status: str, seconds: float) -> None:
    try:
        client.log_metric(run_id, SECONDS, seconds)
        client.set_terminated(run_id, status)
    except MlflowException as error:
        if not is_outage(error):
            raise
        logger.warning("%s; the end of this stage (%s) is not recorded", describe_outage(error), status)

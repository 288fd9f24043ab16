"""The nested MLflow run of one stage: state, duration, and what the stage chooses to log.

A retried stage continues its run, so that the curves of a resumed training go on; `seconds` adds up over the attempts.

Left out on purpose: metrics of the training loop, which must not wait for a server (see `gift.tracking.metrics`).
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gift.errors import GiftError
from gift.patience import NO_PATIENCE, ServicePatience
from gift.tracking.artifacts import log_artifact
from gift.tracking.client import MlflowClient
from gift.tracking.entities import Metric, Run
from gift.tracking.entries import PARENT_TAG, PIPELINE_TAG, STAGE_TAG, find_run, log_params
from gift.tracking.faults import explain_errors
from gift.tracking.platform import is_named, kfp_task_run

SECONDS = "seconds"
START_UP = "start_up_seconds"
DIGEST_TAG = "gift.digest"
CONTEXT_TAG = "mlflow.data.context"

MAX_DATASET_DIGEST_LENGTH = 36  # mlflow.utils.validation.MAX_DATASET_DIGEST_SIZE

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageRun:
    """What a stage writes to its run. Every method waits for MLflow; GiftError when it stays away, or refuses."""

    run_id: str
    patiently: ServicePatience = NO_PATIENCE

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log now, and wait for it. MLflow stores NaN as NaN, and ±inf as ±1.8e308."""
        now = int(time.time() * 1000)
        entries = [Metric(key, float(value), now, step) for key, value in metrics.items()]
        self._write("logging metrics", lambda client: client.log_metrics(self.run_id, entries))

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log each parameter once; raises GiftError when the run has another value already."""
        self._write("logging parameters", lambda client: log_params(client, client.get_run(self.run_id), params))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags, replacing values that are there."""
        self._write("setting tags", lambda client: client.set_tags(self.run_id, tags))

    def log_artifact(self, path: Path) -> None:
        """Upload one file to the run's artifacts, under its own name."""
        content = path.read_bytes()
        self._write(
            f"uploading {path.name}",
            lambda client: log_artifact(client, client.get_run(self.run_id), path.name, content),
        )

    def log_dataset_input(self, name: str, source_uri: str, digest: str, context: str) -> None:
        """Record that the stage read a data set, without loading it; `context` is for example "training".

        MLflow knows a data set by its name and the first 36 characters of its digest; the whole digest is a tag.
        """
        source_type = urlsplit(source_uri).scheme or "local"
        dataset = {
            "name": name,
            "digest": digest[:MAX_DATASET_DIGEST_LENGTH],
            "source_type": source_type,
            "source": json.dumps({"uri": source_uri}),
        }
        tags = {CONTEXT_TAG: context, DIGEST_TAG: digest}
        self._write(f"logging the data set {name}", lambda client: client.log_dataset(self.run_id, dataset, tags))

    def _write(self, doing: str, request: Callable[[MlflowClient], object]) -> None:
        def write() -> None:
            with explain_errors(doing):
                request(MlflowClient())

        self.patiently(write)


@contextmanager
def stage_run(parent_run_id: str, stage: str, patiently: ServicePatience = NO_PATIENCE) -> Iterator[StageRun]:
    """The nested run of a stage: FINISHED, FAILED, or KILLED (interrupt, exit), with the metric `seconds`.

    A stage that has done its work does not fail because MLflow is away, or refuses, when it ends; that is a warning.

    Args:
        patiently: how long to wait for MLflow, each time that the stage needs it; not at the end of one that failed.

    Raises:
        GiftError: MLflow is not reachable at the start, or refuses the run.
    """
    run = patiently(lambda: _open(parent_run_id, stage))
    earlier_seconds = run.metrics.get(SECONDS, 0.0)
    started = time.monotonic()
    status = "KILLED"
    try:
        yield StageRun(run.run_id, patiently)
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        seconds = earlier_seconds + time.monotonic() - started
        waiting = patiently if status == "FINISHED" else NO_PATIENCE
        try:
            waiting(lambda: _close(run.run_id, status, seconds))
        except GiftError as error:
            logger.warning("%s", error)


def _open(parent_run_id: str, stage: str) -> Run:
    with explain_errors(f"starting the stage {stage}"):
        client = MlflowClient()
        parent = client.get_run(parent_run_id)
        tags = {STAGE_TAG: stage, PIPELINE_TAG: parent_run_id}
        if run := kfp_task_run(client, parent):
            client.set_tags(run.run_id, tags)
        elif (run := find_run(client, parent.experiment_id, tags)) is None:
            run = client.create_run(parent.experiment_id, run_name=stage, tags={PARENT_TAG: parent_run_id, **tags})
        if run.status != "RUNNING":
            client.update_run(run.run_id, status="RUNNING")
        client.log_metrics(run.run_id, [Metric(START_UP, _process_age(), int(time.time() * 1000), 0)])
        return run


def _process_age() -> float:
    """Seconds since this process started; 0 where the system does not say (it is no Linux)."""
    if not sys.platform.startswith("linux"):
        return 0.0
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()  # the name may hold spaces
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)


def _close(run_id: str, status: str, seconds: float) -> None:
    with explain_errors(f"recording the end of this stage ({status})"):
        client = MlflowClient()
        client.log_metrics(run_id, [Metric(SECONDS, seconds, int(time.time() * 1000), 0)])
        if not is_named(run_id):  # else KFP ends it
            client.set_terminated(run_id, status)

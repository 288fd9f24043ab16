"""Metrics of a training loop, logged without ever waiting for MLflow.

    training → queue → (thread, each second) spool file → MLflow → spool file deleted

Everything goes through the spool, outage or not: there is one path, the order is kept, and a process that is killed
loses one second of metrics at most. The training job (rank 0) owns a `MetricLog`; the stage that started the job calls
`replay_spool` when the job has ended.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue

from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from gift.tracking.client import describe_outage, is_outage, mlflow_client
from gift.tracking.spool import MetricSpool

SEND_SECONDS = 1.0
MAX_PAUSE_SECONDS = 30.0

logger = logging.getLogger(__name__)


class MetricLog:
    """Logs to one MLflow run from a daemon thread; `spool_path` must be that run's own, on a disk that lasts."""

    def __init__(self, run_id: str, spool_path: Path) -> None:
        self._run_id = run_id
        self._client = mlflow_client()
        self._spool = MetricSpool(spool_path)
        self._queue: SimpleQueue[Sequence[Metric]] = SimpleQueue()
        self._closing = threading.Event()
        self._pause = 0.0
        self._retry_at = 0.0
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="metric-log", daemon=True)
        self._thread.start()

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Queue the metrics of one step and return at once. MLflow stores NaN as NaN, and ±inf as ±1.8e308."""
        if self._closing.is_set():
            raise RuntimeError("this MetricLog is closed")
        now = int(time.time() * 1000)
        self._queue.put([Metric(key, float(value), now, step) for key, value in metrics.items()])

    def copy_unsent(self, destination: Path) -> None:
        """Write what the server may not have yet to another file, which can be the spool of a later `MetricLog`.

        Raises:
            GiftError: the spool file cannot be written.
        """
        self._spool.take_from(self._queue)
        self._spool.copy_to(destination)

    def close(self, timeout: float = 15.0) -> int:
        """Send what is left, for `timeout` seconds at most, and return how many metrics stay in the spool file.

        Raises:
            MlflowException: the server refuses a metric or the run (a fault of the code); nothing is lost, the spool
                holds the refused metrics and all that came after them.
            GiftError: the spool file could not be written.
        """
        self._closing.set()
        self._thread.join(timeout)
        # The thread may still wait for a silent server; what it has not taken from the queue must reach the disk.
        self._spool.take_from(self._queue)
        self._spool.release()
        if self._failure is not None:
            raise self._failure
        return self._spool.pending()

    def _run(self) -> None:
        try:
            self._deliver_until_closed()
        except Exception as error:
            logger.exception("the metric log of run %s has stopped", self._run_id)
            self._failure = error  # close() raises it where the caller can see it

    def _deliver_until_closed(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(SEND_SECONDS)
            self._spool.take_from(self._queue)
            if closing or time.monotonic() >= self._retry_at:
                self._try_to_send()

    def _try_to_send(self) -> None:
        try:
            self._spool.send(self._client, self._run_id)
        except MlflowException as error:
            outage = is_outage(error)
            if not self._pause:
                logger.warning("%s; metrics wait in the spool file", describe_outage(error) if outage else error)
            self._failure = None if outage else error
            self._pause = min(max(2 * self._pause, SEND_SECONDS), MAX_PAUSE_SECONDS)
            self._retry_at = time.monotonic() + self._pause
        else:
            self._failure = None
            self._pause = 0.0


def send_late_metrics(path: Path, run_id: str) -> None:
    """`replay_spool` at the end of a job: what can't be sent is a printed line, and hides no error of the job."""
    try:
        unsent = replay_spool(path, run_id)
    except MlflowException as error:
        print(f"  MLflow refuses late metrics of this stage: {describe_outage(error)}", flush=True)
        return
    if unsent:
        print(f"  MLflow is away: {unsent} metrics of this stage are lost to it", flush=True)


def replay_spool(path: Path, run_id: str) -> int:
    """Send what a `MetricLog` left behind, and return the number of metrics that still could not be sent.

    Raises:
        MlflowException: the server refuses a metric or the run (a fault of the code).
    """
    spool = MetricSpool(path)
    try:
        spool.send(mlflow_client(), run_id)
    except MlflowException as error:
        if not is_outage(error):
            raise
        logger.warning("%s; the metrics stay in %s", describe_outage(error), path)
    return spool.pending()

"""Metrics of a training loop, logged without ever waiting for MLflow.

    training → queue → (thread, each second) spool file → MLflow → spool file deleted

Everything goes through the spool, outage or not: there is one path, the order is kept, and a process that is killed
loses one second of metrics at most. The training job (rank 0) owns a `MetricLog`; the stage that started the job calls
`send_late_metrics` when the job has ended.

Nothing here ends a training: whatever MLflow does, and when the spool file can't be written, the weights matter more.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue

from gift.errors import GiftError
from gift.tracking.client import MlflowClient
from gift.tracking.entities import Metric
from gift.tracking.faults import describe
from gift.tracking.rest import MlflowError
from gift.tracking.spool import MetricSpool

SEND_SECONDS = 1.0
MAX_PAUSE_SECONDS = 30.0

logger = logging.getLogger(__name__)


class MetricLog:
    """Logs to one MLflow run from a daemon thread; `spool_path` must be that run's own, on a disk that lasts."""

    def __init__(self, run_id: str, spool_path: Path) -> None:
        self._run_id = run_id
        self._client = MlflowClient()
        self._spool = MetricSpool(spool_path)
        self._queue: SimpleQueue[Sequence[Metric]] = SimpleQueue()
        self._closing = threading.Event()
        self._pause = 0.0
        self._retry_at = 0.0
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

        What the server refuses stays there as well, with all that came after it.
        """
        self._closing.set()
        self._thread.join(timeout)
        # The thread may still wait for a silent server; what it has not taken from the queue must reach the disk.
        self._take()
        self._spool.release()
        return self._spool.pending()

    def _run(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(SEND_SECONDS)
            self._take()
            if closing or time.monotonic() >= self._retry_at:
                self._try_to_send()

    def _take(self) -> None:
        try:
            self._spool.take_from(self._queue)
        except GiftError as error:
            logger.warning("%s; the metrics of this moment are lost", error)

    def _try_to_send(self) -> None:
        try:
            self._spool.send(self._client, self._run_id)
        except MlflowError as error:
            if not self._pause:
                logger.warning("%s; they wait in the spool file", describe(error, "logging metrics"))
            self._pause = min(max(2 * self._pause, SEND_SECONDS), MAX_PAUSE_SECONDS)
            self._retry_at = time.monotonic() + self._pause
        else:
            self._pause = 0.0


def send_late_metrics(path: Path, run_id: str) -> None:
    """Send what a `MetricLog` left behind; what can't be sent is a printed line, and hides no error of the job."""
    spool = MetricSpool(path)
    try:
        spool.send(MlflowClient(), run_id)
    except (MlflowError, GiftError) as error:
        reason = describe(error, "logging them") if isinstance(error, MlflowError) else error
        print(f"  {spool.pending()} metrics of this stage are lost, its work is not: {reason}", flush=True)

"""Metrics on their way to MLflow: a file of JSON lines, appended in order and deleted once the server has them all.

Sending a line twice is harmless, because MLflow's metric table is keyed by run, name, timestamp, step and value. So
nothing is rewritten when a part of the file was sent, and a file that a crash left behind is simply sent as a whole.
"""

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock

from gift.errors import GiftError
from gift.tracking.client import MAX_METRICS_PER_REQUEST, MlflowClient
from gift.tracking.entities import Metric


class MetricSpool:
    """The spool file of one run. `path` must belong to that run alone; what a former process left in it is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._sent_bytes = 0
        self._released = False
        path.parent.mkdir(parents=True, exist_ok=True)
        self._drop_torn_line()

    def take_from(self, queue: "SimpleQueue[Sequence[Metric]]") -> None:
        """Move everything that waits in `queue` to the end of the file.

        Raises:
            GiftError: the file cannot be written.
        """
        with self._lock:
            lines = [_to_line(metric) for metric in _drain(queue)]
            if not lines:
                return
            whole = self._path.stat().st_size if self._path.exists() else 0
            try:
                with self._path.open("ab") as file:
                    file.write(b"".join(lines))
            except OSError as error:
                with suppress(OSError):  # the file is gone, or can't be written to at all
                    os.truncate(self._path, whole)  # half a line would be in the way of all that follow
                raise GiftError(f"cannot write metrics to {self._path}: {error.strerror}; make room there") from error

    def send(self, client: MlflowClient, run_id: str) -> None:
        """Send the file in order, and delete it at the end; what is sent before an error is not sent again.

        Raises:
            MlflowError: from the first request that fails.
        """
        while lines := self._next_lines():
            client.log_metrics(run_id, [_from_line(line) for line in lines])
            self._confirm(lines)

    def copy_to(self, destination: Path) -> None:
        """Copy the file, if there is one: everything that is not sent, and perhaps some that is."""
        with self._lock:
            if self._path.exists():
                shutil.copyfile(self._path, destination)

    def pending(self) -> int:
        """The number of metrics that the server has not confirmed."""
        with self._lock:
            return len(self._unsent_lines(limit=None))

    def release(self) -> None:
        """Leave the file to whoever replays it, even if a `send` is still waiting for an answer in another thread."""
        with self._lock:
            self._released = True

    def _next_lines(self) -> list[bytes]:
        with self._lock:
            return [] if self._released else self._unsent_lines(MAX_METRICS_PER_REQUEST)

    def _unsent_lines(self, limit: int | None) -> list[bytes]:
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._sent_bytes)
            return list(islice(file, limit))

    def _confirm(self, lines: Sequence[bytes]) -> None:
        with self._lock:
            if self._released:
                return
            self._sent_bytes += sum(map(len, lines))
            if self._sent_bytes == self._path.stat().st_size:
                self._path.unlink()
                self._sent_bytes = 0

    def _drop_torn_line(self) -> None:
        """A process that was killed while it wrote may have left a last line without its end."""
        if not self._path.exists():
            return
        with self._path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


def _drain(queue: "SimpleQueue[Sequence[Metric]]") -> list[Metric]:
    metrics: list[Metric] = []
    while True:
        try:
            metrics.extend(queue.get_nowait())
        except Empty:
            return metrics


def _to_line(metric: Metric) -> bytes:
    entry = {"key": metric.key, "value": metric.value, "timestamp": metric.timestamp, "step": metric.step}
    return json.dumps(entry).encode() + b"\n"


def _from_line(line: bytes) -> Metric:
    return Metric(**json.loads(line))

"""Prints the log of a pod as it grows, in a thread, and goes on where it was when the connection is cut.

Kubernetes can be asked for the lines since so many seconds only, so some come twice; their times, which it puts before
each in a form of fixed width, tell which. What a kubelet says itself has no time. Left out: lines of one nanosecond, of
which a cut may lose the later one.
"""

import re
import threading
import time
from datetime import datetime

from kubernetes.client import ApiException

from gift.errors import GiftError
from gift.launch.train_job_api import ApiAwayError, TrainJobApi

PAUSE_SECONDS = 2.0
OVERLAP_SECONDS = 5
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


class PodLog:
    """Follows one pod until `close`."""

    def __init__(self, api: TrainJobApi, pod: str) -> None:
        self._api = api
        self._pod = pod
        self._last = ""
        """The time of the last line that was printed, by the clock of its node."""
        self._heard = 0.0
        """When it came, by ours."""
        self._without_time = ""
        """What the node's kubelet last said in the place of a line, e.g. that it can't read the log."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"log of {pod}", daemon=True)
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Print what is there, for `seconds` at most."""
        self._closing.set()
        self._thread.join(seconds)

    def _follow(self) -> None:
        while True:
            last_time = self._closing.is_set()
            try:
                for line in self._api.log(self._pod, self._seconds_back()):
                    self._print(line)
            except (ApiAwayError, ApiException):
                pass  # away for a moment, or the pod is gone
            except GiftError as error:
                print(f"  the log can't be shown: {error}", flush=True)
                return
            if last_time:
                return
            self._closing.wait(PAUSE_SECONDS)

    def _print(self, line: str) -> None:
        written, _, text = line.partition(" ")
        if not TIME.fullmatch(written):
            if line != self._without_time:
                print(line, flush=True)
            self._without_time = line
        elif written > self._last:
            self._last, self._heard = written, time.monotonic()
            print(text, flush=True)

    def _seconds_back(self) -> int | None:
        if not self._last:
            return None
        written = datetime.fromisoformat(self._last)  # in the zone of its node
        since = max(time.time() - written.timestamp(), time.monotonic() - self._heard)  # if either clock is wrong
        return round(since) + OVERLAP_SECONDS

"""What a stage prints: a banner when it starts, and one live line for a long step.

The line says how far, how good, and how long still. Banners start with `BANNER` and live lines with `MARK`, so that
whoever shows the output knows the stage and may replace the last live line by the next. Left out: cursor control; a
stage never knows whether a terminal is at the other end. Imports no other room.
"""

import logging
import time
from collections.abc import Sequence

BANNER = "▶ "
MARK = "· "
TALKATIVE = ("botocore", "boto3", "s3transfer", "urllib3")


def print_banner(name: str) -> None:
    """The stage's first line; from here on libraries only speak up when something is wrong.

    KFP's executor turns everybody's log on, and botocore then says at every client where it found its credentials.
    """
    for library in TALKATIVE:
        logging.getLogger(library).setLevel(logging.WARNING)
    print(f"{BANNER}{name}", flush=True)


class Progress:
    """Prints at most one line per `interval` seconds, and always the last one; `done` steps are there at the start."""

    def __init__(self, label: str, total: int, interval: float = 2.0, done: int = 0) -> None:
        self._label = label
        self._total = total
        self._done_before = done
        self._interval = interval
        self._started = time.monotonic()
        self._printed = float("-inf")

    def update(self, done: int, fields: Sequence[str]) -> None:
        """Report `done` of `total`; `fields` are shown between the count and the time left."""
        now = time.monotonic()
        if done < self._total and now - self._printed < self._interval:
            return
        self._printed = now
        left = (now - self._started) / max(done - self._done_before, 1) * (self._total - done)
        shown = "  ".join((f"{MARK}{self._label} {done}/{self._total}", *fields, f"left {_clock(left)}"))
        print(shown, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"

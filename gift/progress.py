"""What a stage prints: a banner when it starts, one line for each thing that happens, one live line for a long step.

    2026-11-29T18:58:04Z ▶ train-policy
    2026-11-29T18:58:31Z · gift 40/160  reward 0.412  left 1:12
    2026-11-29T19:00:02Z   wrote s3://gift/checkpoints/…

A live line says how far, how good, and how long still. Banners start with `BANNER` and live lines with `MARK`, so that
whoever shows the output knows the stage and may replace the last live line by the next. The times are put there as the
lines leave the process, whoever prints them, and `without_time` takes them off again.

Left out: cursor control, as a stage never knows whether a terminal is at the other end; and what libraries in C write
past Python. Imports no other room.
"""

import logging
import re
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, TextIO

BANNER = "▶ "
MARK = "· "
INFO = "  info: "
"""Before what is worth a line of the log and none of a person's screen."""

_OUR_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ")
_ANY_TIME = re.compile(r"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
"""Ours, of a line that another process has printed, or DeepSpeed's."""
_PIECES = re.compile(r"[^\n]*\n|[^\n]+")


def start_log(stage: str) -> None:
    """The stage's first line; from here on lines have times, and libraries only speak up when something is wrong.

    KFP's executor turns everybody's log on; botocore then says at every client where it found its credentials.
    """
    before = sys.stdout
    put_times_on_lines()
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("gift").setLevel(logging.INFO)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is before:  # KFP's
            handler.setStream(sys.stdout)
            handler.setFormatter(_LogLine())
    print(f"{BANNER}{stage}", flush=True)


def put_times_on_lines() -> None:
    """From now on each line of this process and of its forks begins with a time (UTC), unless it has one already.

    A stream that somebody has put in the place of the process's own is theirs.
    """
    for name, own in (("stdout", sys.__stdout__), ("stderr", sys.__stderr__)):
        if own is not None and getattr(sys, name) is own:
            setattr(sys, name, _TimedLines(own))


def without_time(line: str) -> str:
    """A line of a stage's log as the stage printed it."""
    match = _OUR_TIME.match(line)
    return line[match.end() :] if match else line


class _TimedLines:
    """A text stream that writes whole lines to `stream`, each in one piece, so that no two threads or ranks share one.

    Everything but writing is the stream's own.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._of_thread = threading.local()
        self._in_line = False
        """Whether a part of a line has left already, because somebody asked for it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        whole, newline, rest = (getattr(self._of_thread, "pending", "") + text).rpartition("\n")
        self._of_thread.pending = rest
        if newline:
            self._pass_on(whole + newline)
        return len(text)

    def flush(self) -> None:
        pending = getattr(self._of_thread, "pending", "")
        self._of_thread.pending = ""
        if pending:
            self._pass_on(pending)
        self._stream.flush()

    def _pass_on(self, text: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ ", time.gmtime())
        timed = []
        for piece in _PIECES.findall(text):
            timed.append(piece if self._in_line or _ANY_TIME.match(piece) else now + piece)
            self._in_line = not piece.endswith("\n")
        self._stream.write("".join(timed))
        self._stream.flush()


class _LogLine(logging.Formatter):
    """A record in the words of the lines around it: `  warning: MLflow is away`."""

    def format(self, record: logging.LogRecord) -> str:
        return f"  {record.levelname.lower()}: {super().format(record)}"


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

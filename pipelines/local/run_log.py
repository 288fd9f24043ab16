"""What a person sees of a local run: stage banners and one live line, while `run.log` keeps every word.

kfp's local runner prints a stage's output and its own log records to stdout. `RunLog` stands in for stdout while the
pipeline runs and sorts the lines; the times of a stage's lines stay in `run.log`.

Left out: anything a stage could say about itself; stages print, this only shows.
"""

import io
import re
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from gift.errors import GiftError, printable
from gift.progress import BANNER, INFO, MARK, without_time

LIVE_SECONDS = 10.0
"""Without a terminal, a live line is shown this often; with one, every time, in place of the last."""

_INDENT = re.compile(r"^(?: {4})*")  # kfp adds four spaces per nested DAG; a stage itself indents by two
_KFP = re.compile(r"^(\[KFP Executor .*executor_input|\d\d:\d\d:\d\d\.\d{3} - |-{20,}$)")
_LOGGED = re.compile(
    r"^\[KFP Executor \S+ \S+ (?P<level>[A-Z]+)\]: (?P<text>.*)"
)  # by a library, through kfp's handler
_LIBRARY = re.compile(r"^(\[\d{4}-[^]]*\] \[(INFO|WARNING)\]|\s*$)")
_FAILED = re.compile(r"finished with status \S*FAILURE")


class StageFailedError(GiftError):
    """A stage of a run on this machine failed; `last_lines` are what it printed, and where the rest is."""

    def __init__(self, message: str, last_lines: Sequence[str]) -> None:
        super().__init__(message)
        self.last_lines = tuple(last_lines)


class RunLog(io.TextIOBase):
    """A writable text stream: everything to the file, the readable part to `screen`."""

    def __init__(self, file: Path, screen: TextIO) -> None:
        self._file = file.open("w", encoding="utf-8", buffering=1)  # whoever follows the log sees whole lines at once
        self._screen = screen
        self._is_terminal = screen.isatty()
        self._pending = ""
        self._live = False
        self._shown_live = float("-inf")
        self._in_stage = False
        self._failed = False
        self.stage = ""
        """The stage that printed last, or the first that failed."""
        self.last_lines: deque[str] = deque(maxlen=12)
        """What it printed last, without live lines."""

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._is_terminal

    def write(self, text: str) -> int:
        self._file.write(text)
        self._pending += text
        *lines, self._pending = self._pending.split("\n")
        for line in lines:
            self._show(without_time(_INDENT.sub("", line)).rstrip())
        return len(text)

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()

    def close(self) -> None:
        if not self.closed:
            self._end_live_line()
            self._file.close()
        super().close()

    def _show(self, line: str) -> None:
        if _KFP.match(line):
            self._failed = self._failed or bool(_FAILED.search(line))
            self._in_stage = False  # what follows belongs to the record, until a stage speaks
            return
        if line.startswith((BANNER, "error: ", "Traceback ")):
            self._in_stage = True
        logged = _LOGGED.match(line)
        if logged and logged["level"] not in ("DEBUG", "INFO"):
            line = f"  {logged['level'].lower()}: {logged['text']}"
        elif logged or self._failed or not self._in_stage or line.startswith(INFO) or _LIBRARY.match(line):
            return
        line = printable(line.rpartition("\r")[2])  # of a bar, its last state
        if line.startswith(MARK):
            self._show_live(line)
            return
        if line.startswith(BANNER):
            self.stage = line.removeprefix(BANNER)
            self.last_lines.clear()
        else:
            self.last_lines.append(line)
        self._end_live_line()
        print(line, file=self._screen, flush=True)

    def _show_live(self, line: str) -> None:
        if self._is_terminal:
            print(f"\r\033[K  {line}", end="", file=self._screen, flush=True)
            self._live = True
        elif time.monotonic() - self._shown_live >= LIVE_SECONDS:
            self._shown_live = time.monotonic()
            print(f"  {line}", file=self._screen, flush=True)

    def _end_live_line(self) -> None:
        if self._live:
            print(file=self._screen)
            self._live = False

"""The turns of one side: it waits until it is asked for a step, takes it by its clocks, and says what it took.

One line of JSON each way. What libraries print goes to the log: the replies have a file descriptor of their own.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from safetensors.torch import save_file
from torch import Tensor

from gift.bench.objective import GRADIENT
from gift.bench.results import Turn

CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""Linux takes the memory of now for the most that there was."""


class Turns:
    """One side's view of the measurement."""

    def __init__(self, questions: TextIO, replies: TextIO, folder: Path) -> None:
        self._questions, self._replies, self._folder = questions, replies, folder
        self._first = True
        self._started = (0.0, 0.0)
        self._before = memory_bytes("VmRSS")

    def begin(self) -> bool:
        """Wait to be asked; False when there is nothing more to do. The first call says that this side is ready."""
        if self._first:
            self._say("ready")
        if not self._questions.readline():
            return False
        CLEAR_REFS.write_text(RESET_PEAK, encoding="ascii")
        self._started = (time.perf_counter(), time.process_time())
        return True

    def end(self, gradient: Callable[[], Mapping[str, Tensor]]) -> None:
        """Stop the clocks and reply; after the first turn `gradient` is written, too, before anybody else works."""
        wall, processor = time.perf_counter() - self._started[0], time.process_time() - self._started[1]
        peak = memory_bytes("VmHWM")
        if self._first:
            save_file({name: tensor.contiguous() for name, tensor in gradient().items()}, self._folder / GRADIENT)
            self._first = False
        turn = Turn(cpu_seconds=processor, wall_seconds=wall, peak_bytes=peak, bytes_before=self._before)
        self._say(turn.model_dump_json())

    def _say(self, line: str) -> None:
        self._replies.write(line + "\n")
        self._replies.flush()


def memory_bytes(field: str) -> int:
    """What Linux says of this process: `VmRSS` is its resident memory now, `VmHWM` the most that it was."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise LookupError(field)

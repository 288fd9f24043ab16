"""The turns of one side: it waits until it is asked for a step, takes it by its clocks, and says what it took.

One line of JSON each way. What libraries print goes to the log: the replies have a file descriptor of their own.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, TextIO

from safetensors.torch import save_file
from torch import Tensor

from gift.bench.meter import finish_work, forget_peak, memory_now, memory_peak
from gift.bench.objective import GRADIENT
from gift.bench.results import Turn


class Turns:
    """One side's view of the measurement."""

    def __init__(self, questions: TextIO, replies: TextIO, folder: Path, device: Literal["cpu", "cuda"]) -> None:
        self._questions, self._replies, self._folder, self._device = questions, replies, folder, device
        self._first = True
        self._started = (0.0, 0.0)
        self._before = memory_now(device)

    def begin(self) -> bool:
        """Wait to be asked; False when there is nothing more to do. The first call says that this side is ready."""
        if self._first:
            self._say("ready")
        if not self._questions.readline():
            return False
        forget_peak(self._device)
        finish_work(self._device)
        self._started = (time.perf_counter(), time.process_time())
        return True

    def end(self, gradient: Callable[[], Mapping[str, Tensor]]) -> None:
        """Stop the clocks and reply; after the first turn `gradient` is written, too, before anybody else works."""
        finish_work(self._device)
        wall, processor = time.perf_counter() - self._started[0], time.process_time() - self._started[1]
        peak = memory_peak(self._device)
        if self._first:
            parts = {name: tensor.contiguous() for name, tensor in gradient().items()}
            save_file(parts, self._folder / GRADIENT)
            self._first = False
        turn = Turn(cpu_seconds=processor, wall_seconds=wall, peak_bytes=peak, bytes_before=self._before)
        self._say(turn.model_dump_json())

    def _say(self, line: str) -> None:
        self._replies.write(line + "\n")
        self._replies.flush()

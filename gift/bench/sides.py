"""The processes of a measurement, as the one that measures sees them. Loads no torch.

Left out: a limit of time. How long a step takes is what is asked.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

from gift.bench.cases import StepCase
from gift.bench.results import SideName, Turn
from gift.errors import GiftError
from gift.host.end_with_parent import end_with_parent

GRACE_SECONDS = 30
"""Until a side that has nothing more to do has ended."""
SIDE_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
}
ON_DEVICE = {"cpu": {"CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"}, "cuda": {"DS_ACCELERATOR": "cuda"}}


def write_inputs_apart(case: StepCase, inputs: Path, folder: Path) -> None:
    """Have a process of its own write what all sides read, into `inputs`; its log goes to `folder`."""
    log = folder / "inputs.log"
    with log.open("wb") as file:
        finished = subprocess.run(  # noqa: S603 (no shell, and our own arguments)
            _command("inputs", inputs, folder),
            input=case.model_dump_json().encode(),
            stdout=file,
            stderr=file,
            check=False,
            env=os.environ | SIDE_ENVIRONMENT | ON_DEVICE["cpu"],
            preexec_fn=end_with_parent(os.getpid()),
        )
    if finished.returncode != 0:
        raise _ended_early("inputs", log)


@dataclass(frozen=True)
class Side:
    """A process that takes turns."""

    name: SideName
    process: subprocess.Popen[str]
    log: Path

    def wait_until_ready(self) -> None:
        """Raises: GiftError: it ended before."""
        self._reply()

    def take_turn(self) -> Turn:
        """Ask it for a step, and wait until it is done.

        Raises:
            GiftError: it ended before.
        """
        try:
            questions = cast(IO[str], self.process.stdin)
            questions.write("step\n")
            questions.flush()
        except BrokenPipeError:
            raise self._ended_early() from None
        return Turn.model_validate_json(self._reply())

    def _reply(self) -> str:
        line = cast(IO[str], self.process.stdout).readline()
        if not line:
            raise self._ended_early()
        return line

    def _ended_early(self) -> GiftError:
        # What it has to say is there when it has ended, and not yet when it stops to answer.
        _end(self.process)
        return _ended_early(self.name, self.log)


@contextmanager
def open_side(name: SideName, inputs: Path, folder: Path, device: Literal["cpu", "cuda"] = "cpu") -> Iterator[Side]:
    """Start a side on what `inputs` holds; it leaves its log and its gradient in `folder`, and ends with the block."""
    folder.mkdir()
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 (no shell, and our own arguments)
            _command(name, inputs, folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            env=os.environ | SIDE_ENVIRONMENT | ON_DEVICE[device],
            preexec_fn=end_with_parent(os.getpid()),
        )
    try:
        yield Side(name, process, log)
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """The end of its questions is the end of its work; once more does nothing."""
    if process.returncode is not None:
        return
    try:
        process.communicate(timeout=GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _command(name: str, inputs: Path, folder: Path) -> list[str]:
    return [sys.executable, "-m", "gift.bench.side", name, str(inputs), str(folder)]


def _ended_early(name: str, log: Path) -> GiftError:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["(nothing)"]
    return GiftError(f"the side {name} ended early; the last line of its log is: {lines[-1]}")

"""A pool of worker processes with a hard time limit per task: what hangs is killed, what crashes is replaced.

    task ──> idle worker ──> reply in time: its outcome
                        └──> no reply in time, or the process ends: lost, and a new worker takes its place

A limit of seconds is the parent's to enforce, one of processor time the kernel's: nothing inside a process can, as one
long operation in C holds off signal handlers and threads alike. Starting a worker (imports) does not count. Workers run
a program of their own (`gift.workers.program`) and are no forks: the trainer holds threads and device memory that must
not be copied.

Left out: limits on memory (workers are the first to go when the machine runs out of it), and sandboxing.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any, Self, cast

from gift.errors import GiftError

START_SECONDS = 120.0
"""For imports; only a broken environment takes so long."""
EXIT_SECONDS = 1.0
"""Between the end of a process's output and its own end."""


@dataclass(frozen=True)
class Outcome:
    """What became of a task: its value, its exception in one line, or how the worker was lost."""

    value: Any = None
    exception: str | None = None
    lost: str | None = None

    @property
    def failed(self) -> bool:
        return self.exception is not None or self.lost is not None


@dataclass(frozen=True)
class TimeLimit:
    """What one task may take."""

    seconds: float
    of_processor: bool = False
    """Whether they are seconds of the worker's processor time, which a busy machine does not stretch."""

    @property
    def of_clock(self) -> float:
        """Seconds until the parent gives a task up; for one of processor time, only if the machine stands still."""
        return 30 * self.seconds + 60 if self.of_processor else self.seconds


class Worker:
    """One process: starting until its first reply, and then idle or busy with one task."""

    def __init__(self, program: Sequence[str], limit: TimeLimit) -> None:
        seconds = str(limit.seconds if limit.of_processor else 0)
        command = [sys.executable, "-P", "-m", "gift.workers.program", str(os.getpid()), seconds, *program]
        self._time_limit = limit
        self.process = subprocess.Popen(  # noqa: S603 (no shell, and our own arguments)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # It imports what this process can, an own function first of all.
            env=os.environ | {"PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)},
            process_group=0,  # so that its own children can be killed with it, and Ctrl-C is left to the parent
        )
        self.tasks = cast(IO[bytes], self.process.stdin)
        self.replies = cast(IO[bytes], self.process.stdout)
        self.ready = False
        self.task: int | None = None
        self._allow(START_SECONDS)

    @property
    def idle(self) -> bool:
        return self.ready and self.task is None

    def send(self, task: int, arguments: Sequence[Any]) -> None:
        self.task = task
        self._allow(self._time_limit.of_clock)
        with suppress(BrokenPipeError):  # it has just ended, as the missing reply will show
            self.tasks.write(json.dumps(arguments).encode() + b"\n")
            self.tasks.flush()

    def outcome(self, readable: bool) -> Outcome | None:
        """The reply, or that there will be none; None while it may still come."""
        if readable:
            line = self.replies.readline()
            return Outcome(**json.loads(line)) if line else Outcome(lost=self._end())
        if time.monotonic() >= self.deadline:
            return Outcome(lost=f"no reply in {self._limit:g} s")
        return None

    def kill(self) -> None:
        """End the process and those that it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        with suppress(BrokenPipeError):
            self.tasks.close()
        self.replies.close()

    def _allow(self, seconds: float) -> None:
        self._limit = seconds
        self.deadline = time.monotonic() + seconds

    def _end(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(EXIT_SECONDS)
        if self.process.returncode == -signal.SIGPROF:
            return f"no reply in {self._time_limit.seconds:g} s of processor time"
        return f"the worker process ended with exit code {self.process.returncode}"


class WorkerPool:
    """Up to `processes` workers, started when needed and killed when the pool closes.

    On Linux a worker dies with the thread that started it, however that ends; call `run` from one that lives as long.
    """

    def __init__(self, user: str, program: Sequence[str], processes: int, limit: TimeLimit) -> None:
        """
        Args:
            user: whose workers they are, for messages.
            program: `module:factory` and its arguments, as `gift.workers.program` takes them.
            processes: workers at most.
            limit: per task.
        """
        self.user = user
        self.program = program
        self.processes = processes
        self.limit = limit
        self._workers: list[Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in list(self._workers):
            self._dismiss(worker)

    def warm_up(self) -> None:
        """Start one worker and wait until it is ready.

        Raises:
            GiftError: it can't start; the text says why.
        """
        self._hire(1)
        while not self._workers[0].ready:
            self._next_outcomes()

    def run(self, tasks: Sequence[Sequence[Any]]) -> list[Outcome]:
        """Do all `tasks`, each the arguments of one call as JSON can hold them; one outcome for each, in order.

        Raises:
            GiftError: a worker can't start.
        """
        waiting = deque(range(len(tasks)))
        outcomes: dict[int, Outcome] = {}
        try:
            while len(outcomes) < len(tasks):
                self._hire(min(self.processes, len(tasks) - len(outcomes)))
                for worker in self._workers:
                    if worker.idle and waiting:
                        task = waiting.popleft()
                        worker.send(task, tasks[task])
                outcomes |= self._next_outcomes()
        finally:  # after an exception here, late replies must not be taken for replies to later tasks
            for worker in [worker for worker in self._workers if worker.task is not None]:
                self._dismiss(worker)
        return [outcomes[task] for task in range(len(tasks))]

    def _hire(self, count: int) -> None:
        for worker in [worker for worker in self._workers if worker.idle and worker.process.poll() is not None]:
            self._dismiss(worker)  # it ended between two tasks
        while len(self._workers) < count:
            self._workers.append(Worker(self.program, self.limit))

    def _dismiss(self, worker: Worker) -> None:
        self._workers.remove(worker)
        worker.kill()

    def _next_outcomes(self) -> dict[int, Outcome]:
        """Wait for the next reply, end or deadline of any worker; the tasks that this settles."""
        awaited = [worker for worker in self._workers if not worker.idle]
        soonest = min(worker.deadline for worker in awaited)
        readable = wait([worker.replies.fileno() for worker in awaited], max(0.0, soonest - time.monotonic()))
        settled: dict[int, Outcome] = {}
        for worker in awaited:
            outcome = worker.outcome(readable=worker.replies.fileno() in readable)
            if outcome is None:
                continue
            if outcome.lost:
                self._dismiss(worker)
            if worker.task is not None:
                settled[worker.task] = outcome
                worker.task = None
            elif outcome.failed:
                raise GiftError(f"{self.user} can't be loaded: {outcome.exception or outcome.lost}")
            else:
                worker.ready = True
        return settled

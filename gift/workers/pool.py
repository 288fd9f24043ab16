"""A pool of worker processes with a hard time limit per task: what hangs is killed, what crashes is replaced.

    task ──> idle worker ──> reply in time: its outcome
                        └──> no reply in time, or the process ends: lost, and a new worker takes its place

Workers work while their user does something else, between `begin` and `outcomes`; no thread watches them meanwhile, so
a task that waits is handed on with the next call.

A limit of seconds is the parent's to enforce, one of processor time the kernel's: nothing inside a process can, as one
long operation in C holds off signal handlers and threads alike. Starting a worker (imports) does not count. Workers run
a program of their own (`gift.workers.program`) and are no forks: the trainer holds threads and device memory that must
not be copied.

Left out: limits on memory (workers are the first to go when the machine runs out of it), and sandboxing.
"""

import itertools
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
        self._tickets = itertools.count()
        self._waiting: deque[tuple[int, Sequence[Any]]] = deque()
        self._settled: dict[int, Outcome] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in list(self._workers):
            self._dismiss(worker)

    def start(self) -> None:
        """Start all workers; they are ready when they are."""
        self._hire(self.processes)

    def warm_up(self) -> None:
        """Start one worker and wait until it is ready.

        Raises:
            GiftError: it can't start; the text says why.
        """
        self._hire(1)
        while not self._workers[0].ready:
            self._settle(wait_for_one=True)

    def run(self, tasks: Sequence[Sequence[Any]]) -> list[Outcome]:
        """Do all `tasks`, each the arguments of one call as JSON can hold them; one outcome for each, in order.

        Raises:
            GiftError: a worker can't start.
        """
        return self.outcomes([self._enqueue(task) for task in tasks])

    def begin(self, task: Sequence[Any]) -> int:
        """Hand a task to a worker, or have it wait for one, and return its ticket for `outcomes`; returns at once.

        Raises:
            GiftError: a worker could not start.
        """
        ticket = self._enqueue(task)
        self._settle(wait_for_one=False)
        self._hand_out()
        return ticket

    def outcomes(self, tickets: Sequence[int]) -> list[Outcome]:
        """Wait for tasks that were begun; one outcome for each ticket, which is taken back.

        Raises:
            GiftError: a worker can't start.
        """
        try:
            while not self._settled.keys() >= set(tickets):
                self._hand_out()
                self._settle(wait_for_one=True)
        except BaseException:  # late replies must not be taken for replies to later tasks
            self._drop_all()
            raise
        return [self._settled.pop(ticket) for ticket in tickets]

    def _enqueue(self, task: Sequence[Any]) -> int:
        ticket = next(self._tickets)
        self._waiting.append((ticket, task))
        return ticket

    def _hand_out(self) -> None:
        """Send what waits to idle workers, of which there are as many as can be used."""
        busy = sum(worker.task is not None for worker in self._workers)
        self._hire(min(self.processes, busy + len(self._waiting)))
        for worker in self._workers:
            if worker.idle and self._waiting:
                worker.send(*self._waiting.popleft())

    def _drop_all(self) -> None:
        for worker in [worker for worker in self._workers if worker.task is not None]:
            self._dismiss(worker)
        self._waiting.clear()
        self._settled.clear()

    def _hire(self, count: int) -> None:
        for worker in [worker for worker in self._workers if worker.idle and worker.process.poll() is not None]:
            self._dismiss(worker)  # it ended between two tasks
        while len(self._workers) < count:
            self._workers.append(Worker(self.program, self.limit))

    def _dismiss(self, worker: Worker) -> None:
        self._workers.remove(worker)
        worker.kill()

    def _settle(self, *, wait_for_one: bool) -> None:
        """Take replies, ends and deadlines of workers as they are, or wait for the next of any worker."""
        awaited = [worker for worker in self._workers if not worker.idle]
        soonest = min((worker.deadline for worker in awaited), default=0.0)
        patience = max(0.0, soonest - time.monotonic()) if wait_for_one else 0.0
        readable = wait([worker.replies.fileno() for worker in awaited], patience)
        for worker in awaited:
            outcome = worker.outcome(readable=worker.replies.fileno() in readable)
            if outcome is None:
                continue
            if outcome.lost:
                self._dismiss(worker)
            if worker.task is not None:
                self._settled[worker.task] = outcome
                worker.task = None
            elif outcome.failed:
                raise GiftError(f"{self.user} can't be loaded: {outcome.exception or outcome.lost}")
            else:
                worker.ready = True

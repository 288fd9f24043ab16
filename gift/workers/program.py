"""The program of a worker process: `python -m gift.workers.program <parent's pid> <seconds> <module:factory> …`.

The factory, called with the arguments after it, gives the function that does the tasks. Each line that comes in holds
the arguments of one task as JSON, each that goes out `{"value": …}` or `{"exception": …}`; the first that goes out says
that the worker is ready. `seconds` of processor time are allowed per task, unless 0: then the kernel ends the process.
"""

import importlib
import json
import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from gift.host.end_with_parent import end_with_parent

LONGEST_TEXT = 500
"""Characters of an exception that is shown: a reply must fit a pipe at once (4096 bytes), never half of it."""


def main(parent: str, seconds: str, factory: str, *arguments: str) -> None:
    """Answer tasks until the parent closes the pipe."""
    end_with_parent(int(parent))()
    with suppress(OSError):  # where memory runs out, this process goes before the trainer does
        Path("/proc/self/oom_score_adj").write_text("1000")
    tasks, replies = _take_over_pipes()
    try:
        module, _, name = factory.partition(":")
        work = getattr(importlib.import_module(module), name)(*arguments)
    except Exception as error:  # noqa: BLE001 (importing a user's module may raise anything)
        _reply(replies, exception=_describe(error))
        return
    _reply(replies, value=None)
    for task in tasks:
        # Processor time, so that a busy machine changes no verdict; nothing handles the signal, so that it ends us.
        signal.setitimer(signal.ITIMER_PROF, float(seconds))
        try:
            outcome = {"value": work(*json.loads(task))}
        except Exception as error:  # noqa: BLE001 (and so may calling it, or sympy)
            outcome = {"exception": f"{_describe(error)} ({_place(error)})"}
        signal.setitimer(signal.ITIMER_PROF, 0)
        _reply(replies, **outcome)


def _take_over_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes from and to the parent. From now on stdin is empty, and what anybody prints goes to stderr."""
    tasks, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    return tasks, replies


def _reply(replies: BinaryIO, **outcome: Any) -> None:
    replies.write(json.dumps(outcome).encode() + b"\n")
    replies.flush()


def _describe(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_TEXT]


def _place(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}, line {frame.lineno}"


if __name__ == "__main__":
    main(*sys.argv[1:])

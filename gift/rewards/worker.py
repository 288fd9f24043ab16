"""The program of a worker process: `python -m gift.rewards.worker <parent's pid> math | function <import path>`.

Each line that comes in holds the arguments of one task as JSON, each that goes out `{"value": …}` or
`{"exception": …}`; the first that goes out says that the worker is ready. Time limits are the parent's business.
"""

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, SupportsFloat

from gift.data.problems import Problem
from gift.end_with_parent import end_with_parent

LONGEST_TEXT = 500
"""Characters of an exception or value that is shown: a reply must fit a pipe at once (4096 bytes), never half of it."""


def main(parent: str, kind: str, *names: str) -> None:
    """Answer tasks until the parent closes the pipe."""
    end_with_parent(int(parent))()
    with suppress(OSError):  # where memory runs out, this process goes before the trainer does
        Path("/proc/self/oom_score_adj").write_text("1000")
    tasks, replies = _take_over_pipes()
    try:
        judge = _own_function(*names) if kind == "function" else _math_verify()
    except Exception as error:  # noqa: BLE001 (importing a user's module may raise anything)
        _reply(replies, exception=_describe(error))
        return
    _reply(replies, value=None)
    for task in tasks:
        try:
            outcome = {"value": judge(*json.loads(task))}
        except Exception as error:  # noqa: BLE001 (and so may calling it, or math-verify)
            outcome = {"exception": f"{_describe(error)} ({_place(error)})"}
        _reply(replies, **outcome)


def _take_over_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes from and to the parent. From now on stdin is empty, and what anybody prints goes to stderr."""
    tasks, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    return tasks, replies


def _math_verify() -> Callable[[str, str], bool]:
    from gift.rewards.equality import equal

    equal("1/2", r"\frac{1}{2}")  # its parser loads its tables with the first expression
    return equal


def _own_function(import_path: str) -> Callable[[str, dict[str, Any]], float | str]:
    module, _, name = import_path.partition(":")
    function = getattr(importlib.import_module(module), name)
    if not callable(function):
        raise TypeError(f"{name} is not callable")

    def judge(completion: str, problem: dict[str, Any]) -> float | str:
        value = function(completion, Problem(**problem))
        return float(value) if isinstance(value, SupportsFloat) else repr(value)[:LONGEST_TEXT]

    return judge


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

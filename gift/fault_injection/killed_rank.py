"""What the ranks of such a training run: `gift.training.rl`, and one of them kills when its moment has come.

The functions that the moments name are wrapped from outside; the training's own code knows nothing of it.
"""

import functools
import itertools
import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from botocore.client import BaseClient
from deepspeed import DeepSpeedEngine

from gift.fault_injection.kill import Kill, Moment, read_attempt
from gift.training import resume
from gift.training.sampling import Sampler

FUNCTIONS: dict[Moment, tuple[Any, str]] = {
    "rollout": (Sampler, "batch"),
    "backward": (DeepSpeedEngine, "backward"),
    "checkpoint": (resume, "save_checkpoint"),
    "upload": (resume, "upload_directory"),
    "commit": (BaseClient, "_make_api_call"),
    "removal": (resume, "remove_all_but"),
}


def main() -> None:
    attempt = read_attempt(Path(sys.argv[1]))
    if attempt.kill is not None and os.environ["RANK"] == "0":
        _watch(attempt.kill, attempt.note)
    sys.argv[1] = str(attempt.job)
    runpy.run_module("gift.training.rl", run_name="__main__", alter_sys=True)


def _watch(kill: Kill, note: Path) -> None:
    where = "before its first step"

    def remember(_sampler: Sampler, _groups: int, current: int) -> None:
        nonlocal where
        where = f"in step {current + 1}"

    beginnings = itertools.count(1)

    def kill_in_time(*arguments: Any, **_named: Any) -> None:
        if _is_moment(kill.moment, arguments) and next(beginnings) == kill.occurrence:
            victim = _victim(kill)
            note.write_text(where, encoding="utf-8")
            if kill.moment == "commit":
                _kill(victim)
                time.sleep(60)  # it may be another process that dies, and we with it
            threading.Timer(kill.delay_seconds, _kill, [victim]).start()

    _before(*FUNCTIONS[kill.moment], kill_in_time)
    _before(Sampler, "batch", remember)  # last, so that it is called first


def _before(owner: Any, name: str, action: Callable[..., None]) -> None:
    """Call `action` before each call of a function, with its arguments."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def with_action(*arguments: Any, **named: Any) -> Any:
        action(*arguments, **named)
        return original(*arguments, **named)

    setattr(owner, name, with_action)


def _is_moment(moment: Moment, arguments: tuple[Any, ...]) -> bool:
    if moment != "commit":
        return True
    _client, operation, parameters = arguments
    return operation == "PutObject" and str(parameters["Key"]).endswith("/manifest.json")


def _victim(kill: Kill) -> psutil.Process:
    parent = psutil.Process(os.getppid())
    match kill.victim:
        case "rank":
            return sorted(parent.children(), key=lambda child: child.pid)[kill.rank]
        case "parent of the ranks":
            return parent
        case "launcher":
            launcher = parent.parent()
            if launcher is None:
                raise RuntimeError("the parent of the ranks has no parent")
            return launcher


def _kill(victim: psutil.Process) -> None:
    victim.send_signal(signal.SIGKILL)


if __name__ == "__main__":
    main()

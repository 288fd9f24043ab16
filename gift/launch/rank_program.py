"""What every rank does, from the fork to its end: run a module as `__main__`, and leave the reason if it fails."""

import atexit
import faulthandler
import os
import runpy
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch.distributed as dist

from gift.errors import GiftError
from gift.host.full_disk import disk_is_full

TELL_WHERE = signal.SIGUSR1
"""Makes a rank print what all of its threads are at, however it hangs."""


def run_rank(module: str, job_file: str, reason_file: Path) -> NoReturn:
    """Run `module` with `job_file` as its argument; `reason_file` is written only if it fails. Ends this process."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # until there is something to store (`gift.training.resume`)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the launcher has it too, and ends the ranks in order
    faulthandler.register(TELL_WHERE)
    np.random.seed()  # a user's reward may use it; after a fork all ranks would draw the same
    sys.argv = [module, job_file]
    status = 1
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        if dist.is_initialized():
            dist.destroy_process_group()
        status = 0
    except GiftError as error:  # the launcher prints its text once; a traceback per rank would bury it
        leave_reason(reason_file, str(error))
    except BaseException as error:  # noqa: BLE001 (whatever ends a rank is told; it must not go on as its parent)
        if disk_is_full(reason_file.parent, error):  # a fault of no code, so that a traceback would only mislead
            leave_reason(reason_file, f"{module}: rank {os.environ['RANK']} had no room on the disk to write to")
            _end(status)
        text = " ".join(f"{type(error).__name__}: {error}".split())
        reason = f"{module}: rank {os.environ['RANK']} failed (exit code 1): {text}"
        traceback.print_exc()
        leave_reason(reason_file, reason)
    finally:
        _end(status)


def leave_reason(file: Path, reason: str) -> None:
    """Write it as a whole, or print it where the disk is too full for that."""
    try:
        file.write_text(reason, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        print(f"  {reason} (and {file} can't be written: {error.strerror})", flush=True)
        file.unlink(missing_ok=True)


def _end(status: int) -> NoReturn:
    """End without taking the interpreter apart.

    Native threads of gloo and DeepSpeed's process groups that outlive it abort the process now and then, after all its
    work is done: a good training would count as a killed rank, and a `GiftError` would lose its words.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status)

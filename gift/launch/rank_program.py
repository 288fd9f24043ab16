"""The first thing in every rank: `python -m gift.launch.rank_program <module> <job_file>`; the module is `__main__`.

It ties the rank's life to its launcher's, and leaves the reason of a failure where the launcher finds it.
"""

import atexit
import importlib
import os
import runpy
import sys
from typing import NoReturn

import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.errors import record

from gift.end_with_parent import end_with_parent
from gift.errors import GiftError
from gift.lean_imports import lean_imports
from gift.models.device import choose_device

TRAINS_WITH = ("transformers.generation.utils", "deepspeed")


def main() -> None:
    """Run the module named by the first argument; the arguments after it become its own."""
    end_with_parent(os.getppid())()
    os.dup2(sys.stdout.fileno(), sys.stderr.fileno())  # stderr is the agent's, whose log nobody reads unless it fails
    # What "auto" means. DeepSpeed reads it when it is imported; left alone it would also pick other devices.
    os.environ.setdefault("DS_ACCELERATOR", choose_device("auto").type)
    with lean_imports():
        for name in TRAINS_WITH:
            importlib.import_module(name)
    sys.argv = sys.argv[1:]
    try:
        _run_recorded(sys.argv[0])
    except GiftError:
        _end(1)  # the launcher prints its text once; a traceback per rank would bury it
    if dist.is_initialized():
        dist.destroy_process_group()
    _end(0)


def _end(status: int) -> NoReturn:
    """End without taking the interpreter apart.

    Native threads of gloo and DeepSpeed's process groups that outlive it abort the process now and then, after all its
    work is done: a good training would count as a killed rank, and a `GiftError` would lose its words.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(status)


@record
def _run_recorded(module: str) -> None:
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

"""kfp's local runner with copies of this process for stages, instead of processes that import everything anew."""

import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from kfp.dsl import executor_main
from kfp.local import subprocess_task_handler

# What stages import when they work: here it is there before the fork.
import gift.conversion.hugging_face
import gift.evaluation.harness
import gift.report.charts  # noqa: F401


@contextmanager
def forked_stages() -> Iterator[None]:
    """Inside, every task of a pipeline that runs on this machine is a fork."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:

        def run(full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
            *_, code, executor_input, value, function, name = full_command
            component = Path(folder, "component.py")
            component.write_text(code)
            return _run(["--component_module_path", str(component), executor_input, value, function, name])

        patch.setattr(subprocess_task_handler, "run_local_subprocess", run)
        yield


def _run(arguments: list[str]) -> int:
    """As kfp's own function: the process's output goes to stdout line by line; returns its exit code."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        _be_the_stage(arguments, writer)
    os.close(writer)
    with os.fdopen(reader) as output:
        for line in output:
            print(line, end="")
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _be_the_stage(arguments: list[str], output: int) -> NoReturn:
    status = 1
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = sys.stderr = open(1, "w", buffering=1)  # noqa: SIM115
        logging.root.handlers.clear()  # kfp sets its own where there are none
        sys.argv = ["executor_main", *arguments]
        executor_main.executor_main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)

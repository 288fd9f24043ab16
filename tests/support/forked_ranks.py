"""The parent of ranks as a copy of this process, which has imported what ranks train with, and not as a new one."""

import atexit
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

# DeepSpeed chooses when it is imported, and these ranks have no GPU.
os.environ.setdefault("DS_ACCELERATOR", "cpu")
import gift.training.rl
import gift.training.sft  # noqa: F401
from gift.launch import one_node, rank_parent


@contextmanager
def forked_ranks() -> Iterator[None]:
    """Inside, `launch_ranks` forks; all else is as ever, from the ranks' environment to the reason of a failure."""
    with pytest.MonkeyPatch.context() as patch:
        process = SimpleNamespace(Popen=_ForkedParent, TimeoutExpired=subprocess.TimeoutExpired)
        patch.setattr(one_node, "subprocess", process)
        yield


class _ForkedParent:
    """What `launch_ranks` uses of a `subprocess.Popen`."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], preexec_fn: Callable[[], None]) -> None:
        _, _, _, *arguments = command

        def become_the_parent() -> None:
            preexec_fn()
            atexit._clear()  # a rank runs what is there at its end, and the folders of this process are not its own
            os.environ.clear()
            os.environ.update(env)
            sys.argv = ["rank_parent", *arguments]
            rank_parent.main()

        self._process = multiprocessing.get_context("fork").Process(target=become_the_parent)
        self._process.start()
        self.terminate, self.kill = self._process.terminate, self._process.kill

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("rank_parent", timeout or 0)
        return self._process.exitcode

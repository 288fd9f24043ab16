"""A child process that ends with its parent, however the parent ends.

Linux only; elsewhere it has no effect. Imports no other room.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> Callable[[], None]:
    """What a new child runs so that the kernel kills it when `parent` dies (Linux only; no effect elsewhere)."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)  # loaded before the fork: the child must not touch the loader's lock

    def arrange() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call above
            os._exit(1)

    return arrange

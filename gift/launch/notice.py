"""SIGTERM as a notice: this process will be ended, and has some seconds to leave what the next start goes on from.

    stage or node ──> parent of the ranks ──> ranks, which store a checkpoint between two steps and end

Whoever sends it also sets the time: a cluster kills a pod after its grace period, a spot machine takes what is on it
along. Nothing here counts seconds, as a checkpoint that is only half stored when they are over counts as none.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TOLD_TO_STOP = f"was told to stop ({signal.SIGTERM.name})"


@contextmanager
def on_notice(act: Callable[[], None]) -> Iterator[None]:
    """Inside, SIGTERM calls `act` and ends nothing. Of no effect outside of the main thread, as Python's handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGTERM, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)

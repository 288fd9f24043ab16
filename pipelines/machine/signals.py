"""Whatever ends this process politely (Ctrl-C, SIGTERM, a closed terminal) ends it in one way, so that it can tidy up.

Left out: SIGKILL, after which a child ends by `gift.host.end_with_parent`.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def interrupted_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Inside, an interrupt, SIGTERM or a closed terminal calls `stop`, then raises KeyboardInterrupt here; a SIGHUP
    that is ignored (nohup) stays so."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        stop()
        raise KeyboardInterrupt(signal.Signals(number).name)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    previous = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)

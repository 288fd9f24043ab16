"""Keeps lm-eval and the libraries under it from filling a stage's log; their exceptions pass."""

import contextlib
import io
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hide progress bars, and log lines below ERROR. Whatever else goes to stderr meanwhile is hidden too."""
    loggers = [logging.getLogger(name) for name in ("lm_eval", "transformers", "datasets")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        # tqdm has no switch that works after its import, and lm-eval passes none on.
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

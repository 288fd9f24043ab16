"""Imports of training libraries without what those import in passing, and nobody here uses.

DeepSpeed's autotuner imports MLflow, transformers' assisted generation scikit-learn, and both bring scipy and pandas
along: almost half of the processor time until a rank works. Looking for cycles meanwhile, in what is there to stay,
takes another sixth. Imports no other room.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

UNUSED = ("mlflow", "sklearn", "scipy", "pandas")


@contextmanager
def lean_imports() -> Iterator[None]:
    """Inside, what of `UNUSED` is not loaded yet can't be imported; afterwards, by your own code, it can."""
    blocked = [name for name in UNUSED if name not in sys.modules]
    collects = gc.isenabled()
    gc.disable()
    sys.modules.update(dict.fromkeys(blocked))  # type: ignore[arg-type]  # None is how Python says "not to be had"
    try:
        yield
    finally:
        for name in blocked:
            del sys.modules[name]
        if collects:
            gc.enable()

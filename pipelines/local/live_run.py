"""A run on this machine that takes place now, as other processes see it: a locked file in its folder.

The kernel takes the lock back however the run ends. A file without one is what a run left that was killed.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ValidationError, field_validator

from gift.errors import GiftError

LIVE_FILE = "live.json"
TEMPORARY_PREFIX = "gift-"
"""Of the names of temporary folders."""


class LiveRun(BaseModel):
    """What has to be put away when the run can't do it."""

    run_id: str
    temporary: Path | None
    """`TMPDIR` of its stages, by which they are known; None for stages in containers."""

    @field_validator("temporary")
    @classmethod
    def is_a_folder_of_ours(cls, temporary: Path | None) -> Path | None:
        """It is removed with all that is in it."""
        if temporary and not (temporary.is_absolute() and temporary.name.startswith(TEMPORARY_PREFIX)):
            raise ValueError(f"must be the path of a folder {TEMPORARY_PREFIX}…")
        return temporary


@contextmanager
def live_run(folder: Path, run: LiveRun) -> Iterator[None]:
    """Inside, `folder` belongs to the run.

    Raises:
        GiftError: it belongs to another process that is alive.
    """
    with (folder / LIVE_FILE).open("ab") as file:
        if not _locks(file):
            raise GiftError(f"{folder} belongs to a run that goes on in another process; wait for its end, or end it")
        file.truncate(0)
        file.write(run.model_dump_json().encode())
        file.flush()
        try:
            yield
        finally:
            (folder / LIVE_FILE).unlink()


@contextmanager
def dead_run(folder: Path) -> Iterator[LiveRun | None]:
    """The run that was killed in `folder`, for the caller alone; None where there is none. The file goes at the end."""
    path = folder / LIVE_FILE
    try:
        file = path.open("rb")
    except OSError:
        yield None
        return
    with file:
        if not _locks(file) or not path.exists() or not os.path.samestat(path.stat(), os.fstat(file.fileno())):
            yield None  # it is alive, or has just ended well
            return
        yield _read_live_run(file.read())
        path.unlink()


def _locks(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_live_run(content: bytes) -> LiveRun | None:
    try:
        return LiveRun.model_validate_json(content)
    except ValidationError:  # it was killed while it wrote, before its first stage; or the file is not ours
        return None

"""Temporary folders, and whether it was their disk that made something fail.

It is full, can't be written to, or what was on it is gone; libraries call that by other names, or not at all.

May import `errors`.
"""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gift.errors import GiftError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LEAST_FREE_BYTES = 2**20
"""On a disk with less, whatever fails has failed for want of room."""


class DiskFullError(GiftError):
    """There is no room for what a stage works on."""


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """A new folder below `TMPDIR`, removed afterwards. What can't be removed stays: the work in it is done.

    Raises:
        DiskFullError: its disk is full.
        GiftError: there is no place for it, or its disk fails.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
    except OSError as error:
        kind = DiskFullError if error.errno in DISK_FULL else GiftError
        where = f"{error.filename}: " if error.filename else ""
        raise kind(
            f"no folder for temporary files can be made ({where}{error.strerror}): set TMPDIR to a folder that is "
            "there, has room and may be written to"
        ) from error
    with folder as name, full_disk_named(Path(name)):
        yield Path(name)


@contextmanager
def full_disk_named(folder: Path) -> Iterator[None]:
    """Inside, something is written to `folder`.

    Raises:
        DiskFullError: its disk is full; libraries say that in many words, and some not at all.
        GiftError: its disk fails, or the folder is gone.
    """
    try:
        yield
    except DiskFullError:
        raise
    except Exception as error:
        if getattr(error, "errno", None) == errno.EROFS:  # what Linux makes of a disk that fails
            raise GiftError(f"the disk of {folder} can't be written to any more: see the kernel's log") from error
        if not folder.exists():
            raise GiftError(
                f"somebody has removed {folder} while it was in use: have nothing clean up there, or set TMPDIR to "
                f"another folder; it showed as {type(error).__name__}: {error}"
            ) from error
        if not disk_is_full(folder, error):
            raise
        where, kind = getattr(error, "filename", None) or folder, type(error).__name__
        raise DiskFullError(
            f"the disk is full ({where}); make room, or set TMPDIR or --runs to another disk; it showed as {kind}: "
            f"{error}"
        ) from error


def disk_is_full(folder: Path, error: BaseException) -> bool:
    """Asked where `error` comes up, before what was written to `folder` is removed."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    return getattr(error, "errno", None) in DISK_FULL or shutil.disk_usage(there).free < LEAST_FREE_BYTES

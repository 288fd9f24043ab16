"""Whether it was a full disk that made something fail: libraries call it by other names, or not at all.

May import `errors`.
"""

import errno
import shutil
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
def full_disk_named(folder: Path) -> Iterator[None]:
    """Inside, something is written to `folder`.

    Raises:
        DiskFullError: its disk is full; libraries say that in many words, and some not at all.
    """
    try:
        yield
    except DiskFullError:
        raise
    except Exception as error:
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

"""Whether it was a full disk that made something fail: libraries call it by other names, or not at all.

Imports no other room.
"""

import errno
import shutil
from pathlib import Path

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LEAST_FREE_BYTES = 2**20
"""On a disk with less, whatever fails has failed for want of room."""


def disk_is_full(folder: Path, error: BaseException) -> bool:
    """Asked where `error` comes up, before what was written to `folder` is removed."""
    return getattr(error, "errno", None) in DISK_FULL or shutil.disk_usage(folder).free < LEAST_FREE_BYTES

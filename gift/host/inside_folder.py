"""What a folder that is copied or uploaded may hold: files and folders of its own, and links to them.

A link out of it would take along whatever lies there, for whoever reads the copy; a pipe, a socket or a device has no
content to copy, and waits for ever. One kind of links may lead out: those of a snapshot in the hub client's cache
(`<model>/snapshots/<commit>`), to the files of the same model (`<model>/blobs`). May import `errors`.
"""

import stat
from pathlib import Path

from gift.errors import GiftError


def check_inside(folder: Path, entry: Path) -> None:
    """Compare an entry of `folder` with what it may be.

    Raises:
        GiftError: it leads out of the folder, or to nothing, or is neither a file nor a folder.
    """
    try:
        kind = entry.stat().st_mode
        target, home = entry.resolve(strict=True), folder.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        where = f", a link to {entry.readlink()}," if entry.is_symlink() else ""
        raise GiftError(f"{entry}{where} can't be read: {getattr(error, 'strerror', None) or error}") from None
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise GiftError(f"{entry} is neither a file nor a folder, but a pipe, a socket or a device; remove it")
    if not target.is_relative_to(home) and not _is_blob_of(home, target):
        raise GiftError(f"{entry} links out of {folder}, to {target}; put the file itself there")


def _is_blob_of(snapshot: Path, target: Path) -> bool:
    """Both paths are resolved, so that `blobs` is no link itself."""
    return snapshot.parent.name == "snapshots" and target.parent == snapshot.parent.parent / "blobs"

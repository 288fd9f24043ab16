"""What a stage has made waits on this machine's disk until the store has it, also for a later start.

    make ──> <outbox>/<digest of the address>/files/, then metadata.json ── stored ──> removed

`GIFT_OUTBOX` names a folder that outlives the stage; runs on one machine set it. Without it there is the scratch
folder, which goes when the stage ends: what is made then waits for the store as long as the profile says, no longer.
Left out: what several nodes make. Each stores its own part.
"""

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from gift.config import Section
from gift.errors import GiftError
from gift.host.full_disk import full_disk_named

OUTBOX_VARIABLE = "GIFT_OUTBOX"
METADATA_FILE = "metadata.json"
"""Written last."""
GONE = ".gone-"
"""How the names of folders begin that are being removed."""
CLAIM_FILE = "claim"
"""Locked by the process that fills the folder, or stores it."""


class Finished(Section):
    """What `metadata.json` says."""

    metadata: dict[str, str]
    sizes: dict[str, int]
    """Path → bytes of all files. A machine that lost its power may have kept this file, and not all of those."""


@dataclass(frozen=True)
class FinishedOutput:
    """What one call of a stage's `make` left."""

    files: Path
    metadata: dict[str, str]


@contextmanager
def made_or_waiting(uri: str, make: Callable[[Path], dict[str, str]], scratch: Path) -> Iterator[FinishedOutput]:
    """The output for `uri`, as an earlier start left it or as `make` makes it now; removed when the body is through.

    Raises:
        GiftError: that of the body, which also says where the output waits; and whatever `make` raises.
    """
    with _claimed_folder(uri) as lasting:
        folder = lasting or scratch
        metadata = _left_by_earlier_start(folder)
        if metadata is not None:
            print(f"  made by an earlier start, and in {folder} since, for the store", flush=True)
        else:
            metadata = _fill(folder, make, lasting)
        try:
            yield FinishedOutput(folder / "files", metadata)
        except GiftError as error:
            if lasting is None:
                raise
            raise type(error)(
                f"{error}; what this stage has made waits in {lasting}: start the run again, with --run-id, and it is "
                "stored instead of made anew"
            ) from error
        _remove(lasting)


def _left_by_earlier_start(folder: Path) -> dict[str, str] | None:
    """The metadata of what is whole, or None."""
    try:
        finished: Finished | None = Finished.model_validate_json((folder / METADATA_FILE).read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        finished = None
    if finished is None or _sizes(folder / "files") != finished.sizes:
        print(f"  made by an earlier start, in {folder}, and not whole any more: it is made anew", flush=True)
        return None
    return finished.metadata


def _sizes(files: Path) -> dict[str, int]:
    return {str(path.relative_to(files)): path.stat().st_size for path in files.rglob("*") if path.is_file()}


def _fill(folder: Path, make: Callable[[Path], dict[str, str]], lasting: Path | None) -> dict[str, str]:
    (folder / METADATA_FILE).unlink(missing_ok=True)
    files = folder / "files"
    shutil.rmtree(files, ignore_errors=True)  # of a start that was killed
    files.mkdir(parents=True)
    try:
        with full_disk_named(files):  # while they still fill it
            metadata = make(files)
    except BaseException:
        _remove(lasting)
        raise
    unfinished = folder / f"{METADATA_FILE}.new"
    unfinished.write_text(Finished(metadata=metadata, sizes=_sizes(files)).model_dump_json(), encoding="utf-8")
    unfinished.replace(folder / METADATA_FILE)
    return metadata


def _remove(lasting: Path | None) -> None:
    """At once for other processes, which may be about to claim it. A scratch folder goes by itself."""
    if lasting is not None:
        lasting.rename(lasting.with_name(f"{GONE}{uuid.uuid4().hex}"))
        _sweep(lasting.parent)


def _sweep(outbox: Path) -> None:
    """Also what a process was about to remove that was killed."""
    for gone in outbox.glob(f"{GONE}*"):
        shutil.rmtree(gone, ignore_errors=True)  # another process may be at it, too


@contextmanager
def _claimed_folder(uri: str) -> Iterator[Path | None]:
    """The output's folder in the outbox, for this process alone; None without an outbox, or while another has it."""
    outbox = os.environ.get(OUTBOX_VARIABLE)
    if not outbox:
        yield None
        return
    _sweep(Path(outbox))
    folder = Path(outbox, hashlib.sha256(uri.encode()).hexdigest()[:16])
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            file = (folder / CLAIM_FILE).open("w")
        except FileNotFoundError:  # removed by another process just now
            continue
        with file as claim:
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel takes it back from who was killed
            except OSError:  # another process has it, or this is a file system without locks
                yield None
                return
            if _is_still(folder / CLAIM_FILE, claim.fileno()):
                yield folder
                return


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the open file lies at `path`; another process may have removed it before we had the lock."""
    return path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())

"""A deadline that holds even where the process that has it hangs, in native code too: its parent watches it.

    rank:    with deadline("sampling", 600, …): …    writes what, and until when, into its record
    parent:  overdue(file, place)                    reads it, and ends the rank

The records are a file of one size from the beginning, so that no full disk gets between. A process that nobody watches
(a test, a benchmark) has no record, and no deadline.
"""

import mmap
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

RECORD = "GIFT_DEADLINE_RECORD"
"""Where a process has its record, set by the one that watches it: file and place, with a colon between."""
TEXT_BYTES = 240
LAYOUT = struct.Struct(f"<dd{TEXT_BYTES}s")
"""Since when and until when, by the monotonic clock that all processes share (until 0: no deadline), what and hint."""


class Overdue(NamedTuple):
    """What a process should have finished."""

    what: str
    hint: str
    """What to do about it."""
    seconds: float
    """That it has been at it."""


def make_records(file: Path, count: int) -> None:
    """Records of `count` processes, with no deadlines."""
    file.write_bytes(bytes(LAYOUT.size * count))


def record_of(file: Path, place: int) -> str:
    """The value of `RECORD` for the process at `place`, from 0."""
    return f"{file}:{place}"


def overdue(file: Path, place: int) -> Overdue | None:
    """What the process at `place` has not finished in time, or None."""
    with file.open("rb") as records:
        records.seek(place * LAYOUT.size)
        since, until, text = LAYOUT.unpack(records.read(LAYOUT.size))
    now = time.monotonic()
    what, _, hint = text.rstrip(b"\0").decode(errors="replace").partition("\n")
    return Overdue(what, hint, now - since) if 0 < until < now else None


@contextmanager
def deadline(what: str, seconds: float, hint: str) -> Iterator[None]:
    """Inside, this process is ended by the one that watches it once `seconds` are over. Not to be nested.

    Args:
        what: what it does, as in «is still sampling».
        hint: what to do if it is late.
    """
    record = os.environ.get(RECORD)
    if record is None:
        yield
        return
    file, _, place = record.rpartition(":")
    text = f"{what}\n{hint}".encode()[:TEXT_BYTES]
    with Path(file).open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as records:
        start, now = int(place) * LAYOUT.size, time.monotonic()
        for until in (0.0, now + seconds):  # it counts once the text is whole
            LAYOUT.pack_into(records, start, now, until, text)
        try:
            yield
        finally:
            LAYOUT.pack_into(records, start, 0.0, 0.0, b"")

"""A deadline that holds even where the process that has it hangs, in native code too: its parent watches it.

    rank:    with deadline("sampling", 600, …): …    writes what, and until when, into its record
             pass_by()                               counts a place that all ranks come by, as a deadline does
    parent:  overdue(file, place)                    reads it, and ends the rank
             passed(file, place)                     tells who waits from who is waited for

The records are a file of one size from the beginning, so that no full disk gets between. A process that nobody watches
(a test, a benchmark) has no record, and no deadline.
"""

import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

RECORD = "GIFT_DEADLINE_RECORD"
"""Where a process has its record, set by the one that watches it: file and place, with a colon between."""
TEXT_BYTES = 240
LAYOUT = struct.Struct(f"<Qdd{TEXT_BYTES}s")
"""Places passed; since when and until when, by the monotonic clock that all processes share (until 0: none); what and
hint."""


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
    _, since, until, text = _read(file, place)
    now = time.monotonic()
    what, _, hint = text.rstrip(b"\0").decode(errors="replace").partition("\n")
    return Overdue(what, hint, now - since) if 0 < until < now else None


def passed(file: Path, place: int) -> int:
    """How far the process at `place` has come: of several that do the same, those who have passed most wait for the
    others."""
    return int(_read(file, place)[0])


@contextmanager
def deadline(what: str, seconds: float, hint: str) -> Iterator[None]:
    """Inside, this process is ended by the one that watches it once `seconds` are over. Not to be nested.

    Args:
        what: what it does, as in «is still sampling».
        hint: what to do if it is late.
    """
    with _own_record() as write:
        now, text = time.monotonic(), f"{what}\n{hint}".encode()[:TEXT_BYTES]
        for until in (0.0, now + seconds):  # it counts once the text is whole
            write(now, until, text)
        try:
            yield
        finally:
            write(0.0, 0.0, b"")


def pass_by() -> None:
    """Count one more place that every process comes by which does the same; deadlines stay as they are."""
    with _own_record() as write:
        write()


@contextmanager
def _own_record() -> Iterator[Callable[..., None]]:
    """A function that counts, and writes the rest of the record if it is given; it does nothing without a record."""
    record = os.environ.get(RECORD)
    if record is None:
        yield lambda *_: None
        return
    file, _, place = record.rpartition(":")
    start = int(place) * LAYOUT.size
    with Path(file).open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as records:

        def write(*rest: float | bytes) -> None:
            count, *former = LAYOUT.unpack_from(records, start)
            LAYOUT.pack_into(records, start, count + 1, *(rest or former))

        yield write


def _read(file: Path, place: int) -> tuple[int, float, float, bytes]:
    with file.open("rb") as records:
        records.seek(place * LAYOUT.size)
        return LAYOUT.unpack(records.read(LAYOUT.size))

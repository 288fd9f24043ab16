"""What a check found, in one line."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["holds", "differs", "unknown"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    kind: Kind
    """`unknown`: it can't be checked from here, and the text says why."""
    text: str


def holds(text: str) -> Finding:
    return Finding("holds", text)


def differs(text: str) -> Finding:
    return Finding("differs", text)


def unknown(text: str) -> Finding:
    return Finding("unknown", text)

"""What a check found, in one line."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["holds", "differs", "unknown"]


@dataclass(frozen=True)
class ReportFinding:
    """One thing that was looked at."""

    kind: Kind
    """`unknown`: it can't be checked from here, and the text says why."""
    text: str


def holds(text: str) -> ReportFinding:
    return ReportFinding("holds", text)


def differs(text: str) -> ReportFinding:
    return ReportFinding("differs", text)


def unknown(text: str) -> ReportFinding:
    return ReportFinding("unknown", text)

"""What one check has found."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "fails"]
"""`note`: not checked, or a run goes without it; `fails`: a run of this profile would fail, or wait forever."""


@dataclass(frozen=True)
class CheckResult:
    """One line of `gift doctor`."""

    state: State
    subject: str
    text: str
    """What was found; where that is bad, what to do."""


def good(subject: str, text: str) -> CheckResult:
    """All is well."""
    return CheckResult("ok", subject, text)


def note(subject: str, text: str) -> CheckResult:
    """Worth knowing, and no reason for a run to fail."""
    return CheckResult("note", subject, text)


def bad(subject: str, text: str) -> CheckResult:
    """A run would fail, or wait forever."""
    return CheckResult("fails", subject, text)

"""What the tests of this room share: who they ask, what they take and how they read findings."""

from collections.abc import Callable, Iterator

from gift.report.schema import Report
from gift.verification.finding import ReportFinding

MODELS = ("base", "sft", "candidate")
WRONG = "I do not know"
Store = Callable[..., Report]
"""Stores a run's evaluations, each changed by a function of its model, results and answers, and its report."""
Claim = Callable[[Report], Report]
"""Stores a report as the run's own."""
Tampering = Callable[[Report], Report]
"""Changes a report after its run."""


def texts(findings: Iterator[ReportFinding], kind: str) -> list[str]:
    return [finding.text for finding in findings if finding.kind == kind]

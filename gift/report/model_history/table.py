"""The versions as rows of words, for the terminal and for the page."""

from datetime import UTC, datetime

from gift.report.model_history.schema import ListedVersion, ModelHistory
from gift.report.wording import benchmark_label, score_text

OTHER_PROBLEMS = "*"
"""After a score on other problems than the newest version's."""


def history_rows(history: ModelHistory) -> list[list[str]]:
    """Header, and one row per version, the newest first."""
    header = ["version", "registered (UTC)", "champion (UTC)", *map(benchmark_label, history.benchmarks), "run"]
    return [header, *(_row(history, version) for version in reversed(history.versions))]


def history_notes(history: ModelHistory) -> list[str]:
    """What a reader of the table must know beside it."""
    notes = [f"version {version.version}: {version.fault}" for version in history.versions if version.fault]
    if any(OTHER_PROBLEMS in cell for row in history_rows(history)[1:] for cell in row[3:-1]):
        notes.append(f"{OTHER_PROBLEMS} on other problems, or asked otherwise, than the newest version: not comparable")
    if history.reigning and not any(reign.until is None for reign in history.reigns_of(history.reigning)):
        notes.append(f"version {history.reigning} was made champion by hand; the next promotion notes when")
    return notes


def _row(history: ModelHistory, version: ListedVersion) -> list[str]:
    reigns = [
        f"{_time(reign.since)} – {_time(reign.until) if reign.until else 'now'}"
        for reign in history.reigns_of(version.version)
    ]
    scores = [_score(history, version, benchmark) for benchmark in history.benchmarks]
    return [version.version, _time(version.registered), "; ".join(reigns), *scores, version.run_id]


def _score(history: ModelHistory, version: ListedVersion, benchmark: str) -> str:
    found = version.scores.get(benchmark)
    if found is None:
        return score_text(None)
    return score_text(found.score) + ("" if history.compares(version, benchmark) else OTHER_PROBLEMS)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")

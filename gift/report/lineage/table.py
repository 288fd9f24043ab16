"""The versions as rows of words, for the terminal and for the page."""

from datetime import UTC, datetime

from gift.report.lineage.schema import Lineage, LineageVersion
from gift.report.wording import benchmark_label, score_text

OTHER_PROBLEMS = "*"
"""After a score on other problems than the newest version's."""


def lineage_rows(lineage: Lineage) -> list[list[str]]:
    """Header, and one row per version, the newest first."""
    header = ["version", "registered (UTC)", "champion (UTC)", *map(benchmark_label, lineage.benchmarks), "run"]
    return [header, *(_row(lineage, version) for version in reversed(lineage.versions))]


def lineage_notes(lineage: Lineage) -> list[str]:
    """What a reader of the table must know beside it."""
    notes = [f"version {version.version}: {version.fault}" for version in lineage.versions if version.fault]
    if any(OTHER_PROBLEMS in cell for row in lineage_rows(lineage)[1:] for cell in row[3:-1]):
        notes.append(f"{OTHER_PROBLEMS} on other problems, or asked otherwise, than the newest version: not comparable")
    if lineage.reigning and not any(reign.until is None for reign in lineage.reigns_of(lineage.reigning)):
        notes.append(f"version {lineage.reigning} was made champion by hand; the next promotion notes when")
    return notes


def _row(lineage: Lineage, version: LineageVersion) -> list[str]:
    reigns = [
        f"{_time(reign.since)} – {_time(reign.until) if reign.until else 'now'}"
        for reign in lineage.reigns_of(version.version)
    ]
    scores = [_score(lineage, version, benchmark) for benchmark in lineage.benchmarks]
    return [version.version, _time(version.registered), "; ".join(reigns), *scores, version.run_id]


def _score(lineage: Lineage, version: LineageVersion, benchmark: str) -> str:
    found = version.scores.get(benchmark)
    if found is None:
        return score_text(None)
    return score_text(found.score) + ("" if lineage.compares(version, benchmark) else OTHER_PROBLEMS)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")

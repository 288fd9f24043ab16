"""What is known of the versions of one registered model, whatever runs of whatever weeks have made them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gift.report.schema import Score


@dataclass(frozen=True)
class VersionScore:
    """A version on one benchmark."""

    score: Score
    problems: str
    """Digest of the problems and how they were asked: only scores of the same ones compare."""


@dataclass(frozen=True)
class ListedVersion:
    """One version."""

    version: str
    registered: datetime
    scores: Mapping[str, VersionScore]
    """Benchmark → score; none where nothing is known."""
    fault: str | None
    """Why nothing is known."""
    run_id: str
    """The run that registered it; empty where a person did."""


@dataclass(frozen=True)
class Reign:
    """One version as champion; it may come back in another reign."""

    version: str
    since: datetime
    until: datetime | None
    """None while it lasts."""


@dataclass(frozen=True)
class ModelHistory:
    """All versions, the oldest first."""

    model: str
    versions: tuple[ListedVersion, ...]
    reigns: tuple[Reign, ...]
    """As the history has them, the oldest first; a champion that a person made by hand may be missing."""
    reigning: str | None
    at: datetime
    """When the registry was asked."""

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Those that any version was evaluated on, in the order of the newest that has them."""
        return tuple(dict.fromkeys(name for version in reversed(self.versions) for name in version.scores))

    def compares(self, version: ListedVersion, benchmark: str) -> bool:
        """Whether its score is on the problems of the newest version that has one."""
        newest = next(one.scores[benchmark] for one in reversed(self.versions) if benchmark in one.scores)
        return version.scores[benchmark].problems == newest.problems

    def reigns_of(self, version: str) -> tuple[Reign, ...]:
        """The oldest first."""
        return tuple(reign for reign in self.reigns if reign.version == version)

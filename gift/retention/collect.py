"""Removing leftovers while others work: no run loses what it has found, and two that remove don't meet.

    a stage    names the output in MLflow ──> waits for who holds the lock ──> looks at the manifest: reuses it, or not
    removal    takes the lock ──> looks who names the directory in MLflow ──> removes the manifest ──> lets the lock go

Each writes before it looks, so at least one of the two sees the other: either the directory stays, or the stage finds
no manifest and makes the output anew, under a name of its own. What was behind the manifest goes last; only what was
listed is ever removed, and where anything has changed since, nothing is. Who removes may be killed at any moment: a
directory without a manifest is what a writer leaves that died, and goes the next time.
Left out: a process that is stopped for minutes between its look and the one request that removes a manifest.
"""

from collections.abc import Iterator, Sequence

from gift.execution.output import REMOVAL_LOCK
from gift.retention.leftovers import Leftover, StoreSurvey, objects_of
from gift.retention.needed import MANIFEST, Reason, RetentionRule, read_books, roots
from gift.storage import delete_paths, locked

AT_ONCE = 20
"""Directories that are looked at under one lock, so that it is held for seconds."""
REMOVE_SECONDS = 60.0
"""More than removing their manifests takes, with all repetitions."""


def remove_leftovers(storage: str, survey: StoreSurvey, rule: RetentionRule) -> Iterator[Leftover]:
    """Remove what a survey found and is still not needed; yields each when it is gone.

    Raises:
        GiftError: S3 or MLflow failed, or was too slow.
    """
    for start in range(0, len(survey.leftovers), AT_ONCE):
        batch = survey.leftovers[start : start + AT_ONCE]
        for leftover in _without_manifests(storage, batch, rule, survey.now.timestamp()):
            # Not its manifest again: who makes the directory anew may have written another one by now.
            delete_paths(storage, _paths(leftover, manifests=False))
            yield leftover


def _without_manifests(storage: str, leftovers: Sequence[Leftover], rule: RetentionRule, now: float) -> list[Leftover]:
    """Those that are still not needed, which nobody can find any more."""
    with locked(f"{storage}/{REMOVAL_LOCK}") as lease:
        unchanged = [leftover for leftover in leftovers if _is_unchanged(storage, leftover)]
        named = roots(storage, read_books(storage), rule, now)
        condemned = [leftover for leftover in unchanged if _may_go(leftover, named.get(leftover.place))]
        lease.require(REMOVE_SECONDS)
        delete_paths(storage, [path for leftover in condemned for path in _paths(leftover, manifests=True)])
    return condemned


def _is_unchanged(storage: str, leftover: Leftover) -> bool:
    return frozenset(objects_of(storage, leftover.place)[0]) == leftover.seen


def _may_go(leftover: Leftover, reason: Reason | None) -> bool:
    return reason is None or (leftover.kind != "needed by nobody" and reason != "a run under way")


def _paths(leftover: Leftover, *, manifests: bool) -> list[str]:
    return [stored.path for stored in leftover.objects if stored.path.endswith(MANIFEST) == manifests]

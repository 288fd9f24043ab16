"""What a store holds that nobody needs, found and not touched.

Two kinds: whole directories, and in those that stay, files of attempts that died or were too late. Nothing that was
written in the last day is either, nor anything of a run under way.
Left out: parts of large files that never became objects. A lifecycle rule of the bucket aborts those.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gift.retention.needed import MANIFEST, Reason, RetentionRule, read_books, roots, with_ancestors
from gift.retention.places import PREFIXES, place_of_path
from gift.storage import DirectoryError, StoredObject, list_objects, read_manifest

ATTEMPT = re.compile(r"(.+)/([0-9a-f]{32})/.+")
"""A file's directory and the attempt that wrote it; see `gift.storage.attempts`."""


@dataclass(frozen=True)
class Leftover:
    """Objects that can go together."""

    place: str
    """The directory that they are in, relative to the storage URI."""
    seen: frozenset[StoredObject]
    """All that was in it when it was looked at."""
    objects: tuple[StoredObject, ...]
    """Those that can go; paths are relative to the storage URI."""
    kind: Literal["needed by nobody", "of an attempt that died or was too late"]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(stored.size for stored in self.objects)

    @property
    def modified(self) -> datetime:
        """When the youngest was written."""
        return max(stored.modified for stored in self.objects)


@dataclass(frozen=True)
class StoreSurvey:
    """A store, looked through."""

    leftovers: tuple[Leftover, ...]
    kept: Mapping[Reason | Literal["too young"], int]
    """How many directories stay, and why."""
    now: datetime
    """By S3's clock."""


def survey_store(storage: str, rule: RetentionRule) -> StoreSurvey:
    """Look through everything that this project keeps at `storage`.

    Raises:
        GiftError: S3 or MLflow failed, MLflow knows no run of this storage, or a manifest of what is needed is damaged.
    """
    places, now = _places(storage)
    named = roots(storage, read_books(storage), rule, now.timestamp())
    needed = with_ancestors(storage, named, places)
    leftovers: list[Leftover] = []
    kept: Counter[Reason | Literal["too young"]] = Counter()
    for place, objects in places.items():
        reason = needed.get(place)
        if reason is None and not _is_old(objects, now, rule):
            kept["too young"] += 1
        elif reason is None:
            leftovers.append(Leftover(place, frozenset(objects), tuple(objects), "needed by nobody"))
        else:
            kept[reason] += 1
            if reason != "a run under way":
                leftovers += _lost_attempts(storage, place, objects, now, rule)
    return StoreSurvey(tuple(leftovers), kept, now)


def objects_of(storage: str, place: str) -> tuple[list[StoredObject], datetime]:
    """What is in a directory now, or below a prefix of several, with S3's time."""
    listing = list_objects(f"{storage}/{place}")
    return [StoredObject(f"{place}/{at.path}", at.size, at.modified) for at in listing.objects], listing.now


def _places(storage: str) -> tuple[dict[str, list[StoredObject]], datetime]:
    places: dict[str, list[StoredObject]] = defaultdict(list)
    for prefix in PREFIXES:
        objects, now = objects_of(storage, prefix)
        for stored in objects:
            if place := place_of_path(stored.path):
                places[place].append(stored)
    return dict(places), now


def _lost_attempts(
    storage: str, place: str, objects: Sequence[StoredObject], now: datetime, rule: RetentionRule
) -> Iterator[Leftover]:
    """The attempts in a directory that no manifest names; those that nobody writes any more."""
    by_attempt: dict[tuple[str, str], list[StoredObject]] = defaultdict(list)
    for stored in objects:
        if match := ATTEMPT.fullmatch(stored.path):
            by_attempt[match[1], match[2]].append(stored)
    attempts_in = Counter(directory for directory, _ in by_attempt)
    complete = {stored.path.removesuffix(MANIFEST) for stored in objects if stored.path.endswith(MANIFEST)}
    for (directory, attempt), files in by_attempt.items():
        alone = directory in complete and attempts_in[directory] == 1  # the usual case, without a look at the manifest
        if not alone and _is_old(files, now, rule) and attempt != _attempt_that_counts(f"{storage}/{directory}"):
            yield Leftover(place, frozenset(objects), tuple(files), "of an attempt that died or was too late")


def _attempt_that_counts(uri: str) -> str | None:
    try:
        manifest = read_manifest(uri)
    except DirectoryError:
        return None
    return manifest.attempt if manifest else None


def _is_old(objects: Sequence[StoredObject], now: datetime, rule: RetentionRule) -> bool:
    return all((now - stored.modified).total_seconds() > rule.grace_seconds for stored in objects)

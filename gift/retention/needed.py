"""Which directories of a store are needed, and why: roots that MLflow names, and all that those were made from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gift.errors import GiftError
from gift.retention.places import RUNS, places_in
from gift.storage import MANIFEST_NAME, StoredObject, manifest_parents
from gift.tracking.client import MlflowClient
from gift.tracking.entities import ModelVersion
from gift.tracking.entries import RUN_ID_TAG
from gift.tracking.faults import explain_errors
from gift.tracking.history import PipelineRun, pipeline_runs

MANIFEST = f"/{MANIFEST_NAME}"

Reason = Literal["a registered version", "a run under way", "a recent run"]


@dataclass(frozen=True)
class RetentionRule:
    """What is kept for runs that are over."""

    days: float
    """Runs that were active in so many days."""
    runs: int
    """The newest so many runs, whenever they were."""
    grace_seconds: float = 86_400.0
    """What was written, or used by a run, since then is never touched: somebody may be at work on it."""


@dataclass(frozen=True)
class Books:
    """What MLflow knows at one moment."""

    versions: Sequence[ModelVersion]
    runs: Sequence[PipelineRun]


def read_books(storage: str) -> Books:
    """Every model version of every registered model, and every run.

    Raises:
        GiftError: MLflow is not reachable; or it knows no run of this storage, so that it must be another one's server.
    """
    with explain_errors("reading which model versions there are"):
        versions = MlflowClient().search_model_versions("")
    runs = pipeline_runs()
    if not any(run.storage == storage for run in runs):
        raise GiftError(
            f"the MLflow server knows no run that stored anything in {storage}, so nothing there would count as "
            "needed: check MLFLOW_TRACKING_URI and storage.uri"
        )
    return Books(versions, runs)


def roots(storage: str, books: Books, rule: RetentionRule, now: float) -> dict[str, Reason]:
    """Directory → the strongest reason why it stays; `now` in seconds since 1970."""
    found: dict[str, Reason] = {}
    for run in _kept(storage, books.runs, rule, now):
        found |= dict.fromkeys(_places_of_run(run, storage), "a recent run")
    for version in books.versions:
        found |= dict.fromkeys(_places_of_version(version, storage), "a registered version")
    for run in books.runs:
        if run.under_way or now - run.last_active < rule.grace_seconds:
            found |= dict.fromkeys(_places_of_run(run, storage), "a run under way")
    return found


def _kept(storage: str, runs: Sequence[PipelineRun], rule: RetentionRule, now: float) -> Iterable[PipelineRun]:
    newest = sorted((run for run in runs if run.storage == storage), key=lambda run: run.last_active, reverse=True)
    young = [run for run in runs if now - run.last_active < rule.days * 86_400]
    return [*newest[: rule.runs], *young]


def _places_of_run(run: PipelineRun, storage: str) -> set[str]:
    """Its outputs, its own folders, and where it stores if that is inside of one of ours."""
    named = {place for uri in (*run.outputs, f"{run.storage}/") for place in places_in(uri, storage)}
    return named | {f"{RUNS}/{name}" for name in (run.run_id, *run.mlflow_runs)}


def _places_of_version(version: ModelVersion, storage: str) -> set[str]:
    """Its model, whatever its tags name, and the folder of the run that registered it."""
    named = {place for text in (version.source, *version.tags.values()) for place in places_in(text, storage)}
    run_id = version.tags.get(RUN_ID_TAG)
    return named | ({f"{RUNS}/{run_id}"} if run_id else set())


def with_ancestors(
    storage: str, needed: Mapping[str, Reason], places: Mapping[str, Sequence[StoredObject]]
) -> dict[str, Reason]:
    """The same, and for each directory those that its manifests name as parents, and theirs.

    Raises:
        GiftError: S3 can't be read; or a manifest is damaged, so that nobody knows what it needs.
    """
    found, waiting = dict(needed), list(needed)
    while waiting:
        place = waiting.pop()
        for directory in _directories(places.get(place, ())):
            parents = manifest_parents(f"{storage}/{directory}")
            ancestors = {ancestor for parent in parents for ancestor in places_in(parent, storage)} - found.keys()
            found |= dict.fromkeys(ancestors, found[place])
            waiting += ancestors
    return found


def _directories(objects: Sequence[StoredObject]) -> Iterator[str]:
    """Those that have a manifest."""
    return (stored.path.removesuffix(MANIFEST) for stored in objects if stored.path.endswith(MANIFEST))

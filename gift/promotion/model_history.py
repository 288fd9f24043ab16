"""Looks back on all versions of a registered model: their scores, and which of them was champion from when to when.

A version whose evaluation can't be read is one without scores, and says why. Left out: the other models of its run,
which its report has.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from gift import registry
from gift.config import digest_of
from gift.errors import GiftError
from gift.evaluation.results import RESULTS_FILE, BenchmarkResult, load_results
from gift.execution.stage import downloaded
from gift.registry import RegistryView
from gift.report.model_history.schema import ListedVersion, ModelHistory, Reign, VersionScore
from gift.report.schema import Score
from gift.tracking.entities import ModelVersion
from gift.tracking.entries import RUN_ID_TAG


def read_model_history(name: str) -> ModelHistory:
    """All versions of the registered model `name`.

    Raises:
        GiftError: MLflow is not reachable, or has no such model, or no version of it; or its history is damaged.
    """
    view, versions = registry.registered_model(name), registry.registered_versions(name)
    if not versions:
        raise GiftError(
            f"{name} has no versions, so there is nothing to draw; the first run of a profile registers one"
        )
    return ModelHistory(
        model=name,
        versions=tuple(map(_version, versions)),
        reigns=_reigns(view),
        reigning=view.reigning,
        at=datetime.now(UTC),
    )


def _version(version: ModelVersion) -> ListedVersion:
    scores, fault = _scores(version.tags.get(registry.EVALUATION_TAG))
    return ListedVersion(version.version, version.created, scores, fault, version.tags.get(RUN_ID_TAG, ""))


def _scores(evaluation: str | None) -> tuple[Mapping[str, VersionScore], str | None]:
    """Of the evaluation at that URI, or why there are none."""
    if evaluation is None:
        return {}, "it was registered without an evaluation"
    try:
        with downloaded(evaluation, wanted=(RESULTS_FILE,)) as folder:
            results = load_results(folder / RESULTS_FILE, origin=f"{evaluation}/{RESULTS_FILE}")
    except GiftError as fault:
        return {}, f"its evaluation can't be read: {fault}"
    return {task: _score(result) for task, result in results.items()}, None


def _score(result: BenchmarkResult) -> VersionScore:
    score = Score(accuracy=result.accuracy, stderr=result.stderr, n=result.n)
    return VersionScore(score, digest_of(sorted(result.ids)))


def _reigns(view: RegistryView) -> tuple[Reign, ...]:
    """Each until the next one; a move that is not done counts where the alias has moved."""
    moves = [move for move in view.history if move.done or move.version == view.reigning]
    ends: list[datetime | None] = [move.at for move in moves[1:]]
    if moves and moves[-1].version == view.reigning:
        ends.append(None)
    return tuple(Reign(move.version, move.at, end) for move, end in zip(moves, ends, strict=False) if move.version)

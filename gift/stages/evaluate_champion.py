"""Stage: the reigning champion → its results, evaluated as this run evaluates its own models.

    registry ──> the champion's model in the store ──> the same evaluation as the candidate's ──> champion.json

An evaluation's address is the digest of all that decides it: problems, prompts, engine, versions. So a champion that an
earlier run has judged in just this way costs a look at a manifest, and one that was judged otherwise is judged anew.

Left out: results that others have measured, or that were measured otherwise; no gate compares with those.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from gift import registry
from gift.config import RunConfig
from gift.execution.stage import Stage
from gift.gate.verdict import Opponent
from gift.report.files import load_document
from gift.stages.evaluate import evaluate
from gift.storage import DirectoryError, whole_manifest

CHAMPION_FILE = "champion.json"
"""What the stage leaves behind: a `ReigningChampion`."""


class ReigningChampion(BaseModel):
    """Whom the gate compares the candidate with."""

    model_config = ConfigDict(frozen=True)

    opponent: Opponent | None = None
    """None where there is no champion yet."""
    evaluation: str | None = None
    """URI of its results."""
    lost: str | None = None
    """Why it could not be evaluated, as a clause."""


def evaluate_champion(stage: Stage, data: str) -> str:
    """Returns: URI of a folder with champion.json, which says who reigns and where its results are."""
    reigning = _evaluated(stage, data)

    def make(folder: Path) -> dict[str, str]:
        (folder / CHAMPION_FILE).write_text(reigning.model_dump_json(indent=2), encoding="utf-8")
        return {}

    return stage.make_for_run("champion", [reigning.evaluation] if reigning.evaluation else [], make)


def read_champion(stage: Stage, champion: str) -> ReigningChampion:
    """What `evaluate_champion` left at the URI that it returned."""
    with stage.fetched(champion) as (folder,):
        return load_document(ReigningChampion, folder / CHAMPION_FILE)


def warn_if_not_comparable(config: RunConfig) -> None:
    """Print one line if a run that starts now could not evaluate the champion.

    Raises:
        GiftError: MLflow or S3 failed.
    """
    champion = registry.champion(config.registered_model)
    try:
        if champion:
            _model_of(champion)
    except DirectoryError as fault:
        print(
            f"  warning: no gate can compare with the champion of {config.registered_model}: {fault}. "
            "A candidate will stay challenger, for a human to promote.",
            flush=True,
        )


def _evaluated(stage: Stage, data: str) -> ReigningChampion:
    name = stage.config.registered_model
    champion = stage.patiently(lambda: registry.champion(name))
    if champion is None:
        print("  there is no champion yet", flush=True)
        return ReigningChampion()
    opponent = Opponent(model=name, version=champion.version)
    try:
        model = stage.patiently(lambda: _model_of(champion))
        return ReigningChampion(opponent=opponent, evaluation=evaluate(stage, data, model))
    except DirectoryError as fault:
        print(f"  the champion can't be evaluated: {fault}", flush=True)
        return ReigningChampion(opponent=opponent, lost=str(fault))


def _model_of(champion: registry.Champion) -> str:
    """The directory in the store that the version points into.

    Raises:
        DirectoryError: it is not there, or not whole.
        GiftError: S3 failed, which says nothing about the champion.
    """
    directory, _, attempt = champion.source_uri.rstrip("/").rpartition("/")
    manifest = whole_manifest(directory)
    if manifest is None or manifest.attempt != attempt:
        raise DirectoryError(
            f"the model of version {champion.version} is not whole, or not there: {champion.source_uri}"
        )
    return directory

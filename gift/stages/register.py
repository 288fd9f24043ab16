"""Stage: candidate + verdict → registered model version, and champion where the gate was for it."""

from gift import registry
from gift.execution.output import complete_manifest
from gift.execution.stage import Stage
from gift.gate.verdict import Verdict
from gift.promotion.announce import announce
from gift.report.schema import REPORT_FOLDER
from gift.stages.gate import read_verdict


def register(stage: Stage, model: str, candidate_results: str, verdict: str) -> str:
    """Register the model at the URI `model` without copying it. Returns: the version.

    The champion that the verdict was reached against must still be the champion; else the alias stays where it is.
    """
    name, storage = stage.config.registered_model, stage.config.storage.uri
    decided = read_verdict(stage, verdict)
    made = stage.patiently(lambda: complete_manifest(model))
    folder = made.folder(model)  # where vLLM, transformers and people find the files under their own names
    tags = {
        registry.EVALUATION_TAG: candidate_results,
        "gift.run_id": stage.run_id,
        "gift.mlflow_run": stage.parent_run_id,
        "gift.config_digest": stage.config.digest(),
        registry.MODEL_DIGEST_TAG: made.digest(),
        registry.VERDICT_TAG: verdict,
        registry.REPORT_TAG: f"{storage}/runs/{stage.run_id}/{REPORT_FOLDER}",
    }
    lock = f"{storage}/locks/champion/{name}"
    version = stage.patiently(lambda: registry.register_version(name, folder, stage.parent_run_id, tags, lock))
    stage.patiently(lambda: registry.set_challenger(name, version))
    if decided.decision == "promote":
        stage.patiently(lambda: _promote(stage, version, decided))
    alias = stage.patiently(lambda: registry.standing(name, version)).alias
    print(f"  {name} version {version} is now {alias or 'without an alias'}", flush=True)
    return version


def _promote(stage: Stage, version: str, verdict: Verdict) -> None:
    name, against = stage.config.registered_model, verdict.champion.version if verdict.champion else None
    try:
        registry.move_champion(
            name,
            version,
            instead_of=against,
            kind="promotion",
            reason=f"{verdict.sentence} {' '.join(verdict.reasons)}",
            by=f"run {stage.run_id}",
            tell=lambda move: announce(name, move),
        )
    except registry.ChampionChangedError as change:
        registry.set_tag(name, version, registry.NOT_PROMOTED_TAG, str(change))
        print(f"  not promoted: {change}", flush=True)

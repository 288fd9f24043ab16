"""Stage: candidate + verdict → registered model version; the only place that moves the alias `champion`."""

from gift import registry
from gift.evaluation.gate import Verdict
from gift.execution.output import complete_manifest
from gift.execution.stage import Stage
from gift.stages.champion import EVALUATION_TAG
from gift.stages.gate import read_verdict

NOT_PROMOTED_TAG = "gift.not_promoted"
"""Tag of a model version: why it is not champion although the verdict was for it."""


def register(stage: Stage, model: str, candidate_results: str, verdict: str) -> str:
    """Register the model at the URI `model` without copying it. Returns: the version.

    The champion that the verdict was reached against must still be the champion; else the alias stays where it is.
    """
    name = stage.config.registered_model
    decided = read_verdict(stage, verdict)
    made = stage.patiently(lambda: complete_manifest(model))
    folder = made.folder(model)  # where vLLM, transformers and people find the files under their own names
    tags = {
        EVALUATION_TAG: candidate_results,
        "gift.run_id": stage.run_id,
        "gift.mlflow_run": stage.parent_run_id,
        "gift.config_digest": stage.config.digest(),
        "gift.model_digest": made.digest(),
        "gift.verdict": verdict,
    }
    version = stage.patiently(lambda: registry.register(name, folder, stage.parent_run_id, tags))
    stage.patiently(lambda: registry.set_challenger(name, version))
    if decided.promote:
        stage.patiently(lambda: _promote(stage, version, decided))
    alias = stage.patiently(lambda: registry.standing(name, version)).alias
    print(f"  {name} version {version} is now {alias or 'without an alias'}", flush=True)
    return version


def _promote(stage: Stage, version: str, verdict: Verdict) -> None:
    name, against = stage.config.registered_model, verdict.champion.version if verdict.champion else None
    try:
        registry.promote(name, version, instead_of=against, lock=f"{stage.config.storage.uri}/locks/champion/{name}")
    except registry.ChampionChangedError as change:
        registry.set_tag(name, version, NOT_PROMOTED_TAG, str(change))
        print(f"  not promoted: {change}", flush=True)

"""Stage: candidate + verdict → registered model version; the only place that moves the alias `champion`."""

from gift import registry
from gift.stages.gate import EVALUATION_TAG, read_verdict
from gift.stages.output import content_digest
from gift.stages.stage import Stage


def register(stage: Stage, model: str, candidate_results: str, verdict: str) -> str:
    """Register the model at the URI `model` without copying it. Returns: the version."""
    name = stage.config.registered_model
    promote = read_verdict(stage, verdict).promote
    tags = {
        EVALUATION_TAG: candidate_results,
        "gift.run_id": stage.run_id,
        "gift.config_digest": stage.config.digest(),
        "gift.model_digest": content_digest(model),
        "gift.promoted": str(promote).lower(),
    }
    version = registry.register(name, model, stage.parent_run_id, tags)
    registry.set_challenger(name, version)
    if promote:
        registry.promote(name, version)
    print(f"  {name} version {version} is now {'champion' if promote else 'challenger only'}", flush=True)
    return version

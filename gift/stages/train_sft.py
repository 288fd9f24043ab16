"""Stage: base model + demonstrations → SFT checkpoint (DeepSpeed ranks of `gift.training.sft`)."""

from gift.config import RunConfig
from gift.stages.output import Output
from gift.stages.stage import Stage
from gift.stages.train_once import CHECKPOINTS, compute_settings, train_once

RANKS = "gift.training.sft"


def sft_output(config: RunConfig, data: str, model: str) -> Output:
    settings = {
        "sft": config.sft.model_dump(mode="json", exclude={"checkpoint_every"}),
        "prompt": config.prompt,
        "compute": compute_settings(config),
        "seed": config.seed,
    }
    return Output(CHECKPOINTS, __name__, settings, {"data": data, "model": model})


def train_sft(stage: Stage, data: str, model: str) -> str:
    """Returns: URI of a ZeRO checkpoint."""
    return train_once(stage, RANKS, sft_output(stage.config, data, model))

"""Stage: base model + demonstrations → SFT checkpoint (DeepSpeed ranks of `gift.training.sft`)."""

from gift.stages.stage import Stage
from gift.stages.train_once import train_once, what_decides


def train_sft(stage: Stage, data: str, model: str) -> str:
    """Returns: URI of a ZeRO checkpoint."""
    config = stage.config
    decides = ["sft", what_decides(config.sft), config.prompt, config.compute, config.seed]
    return train_once(stage, "gift.training.sft", decides, data, model)

"""Stage: base model + demonstrations → SFT checkpoint (DeepSpeed ranks of `gift.training.sft`).

With `sft.steps: 0` the base model is the SFT model: it goes on as it is, and nothing is started.
"""

from gift.stages.stage import Stage
from gift.stages.train_once import train_once, what_decides


def train_sft(stage: Stage, data: str, model: str) -> str:
    """Returns: URI of a ZeRO checkpoint, or without steps that of `model`."""
    config = stage.config
    if config.sft.steps == 0:
        return stage.hand_through(model, "sft.steps is 0, so nothing is trained")
    decides = ["sft", what_decides(config.sft), config.prompt, config.compute, config.seed]
    return train_once(stage, "gift.training.sft", decides, data, model)

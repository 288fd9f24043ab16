"""Stage: base model + demonstrations → SFT weights (DeepSpeed ranks of `gift.training.sft`).

With `sft.steps: 0` the base model is the SFT model: it goes on as it is, and nothing is started.
"""

from gift.config import RunConfig
from gift.execution.output import Output
from gift.execution.stage import Stage
from gift.execution.train_once import CHECKPOINTS, compute_settings, health_settings, train_once, training_settings

RANKS = "gift.training.sft"


def sft_output(config: RunConfig, data: str, model: str) -> Output:
    settings = {
        "sft": training_settings(config, config.sft),
        "prompt": config.prompt_format,
        "lora": config.lora,
        "compute": compute_settings(config),
        "health": health_settings(config),
        "seed": config.seed,
    }
    unused = () if config.lora else ("peft",)
    return Output(CHECKPOINTS, __name__, settings, {"data": data, "model": model}, unused=unused)


def train_sft(stage: Stage, data: str, model: str) -> str:
    """Returns: URI of the trained weights, or without steps that of `model`."""
    if stage.config.sft.steps == 0:
        return stage.hand_through(model, "sft.steps is 0, so nothing is trained")
    return train_once(stage, RANKS, sft_output(stage.config, data, model))

"""Stage: SFT model + prompts → GIFT checkpoint (DeepSpeed ranks of `gift.training.rl`)."""

from pathlib import Path

from gift.stages.stage import Stage
from gift.stages.training import run_training


def train_gift(stage: Stage, data: str, model: str) -> str:
    """Returns: URI of a ZeRO checkpoint.

    The run's identity is part of the output's: a new run always trains anew, a retried task of the same run does not.
    """
    config = stage.config

    def make(folder: Path) -> dict[str, str]:
        return run_training(stage, "gift.training.rl", data, model, folder)

    decides = ["gift", stage.run_id, config.rl, config.rollout, config.gift, config.reward, config.compute, config.seed]
    return stage.make_once("checkpoints", decides, [data, model], make)

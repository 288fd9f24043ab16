"""Stage: SFT model + prompts → checkpoint of the trained policy (DeepSpeed ranks of `gift.training.rl`)."""

from gift.stages.stage import Stage
from gift.stages.train_once import train_once, what_decides


def train_policy(stage: Stage, data: str, model: str) -> str:
    """Returns: URI of a ZeRO checkpoint.

    The run's identity is part of the output's: a new run always trains anew, a retried task of the same run does not.
    """
    config = stage.config
    objective = getattr(config, config.algorithm)
    decides = [
        *("policy", stage.run_id, config.algorithm, objective, what_decides(config.rl), config.rollout),
        *(*config.rewards, config.prompt, config.compute, config.seed),
    ]
    return train_once(stage, "gift.training.rl", decides, data, model, {"algorithm": config.algorithm})

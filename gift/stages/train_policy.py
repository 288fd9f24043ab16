"""Stage: SFT model + prompts → weights of the trained policy (DeepSpeed ranks of `gift.training.rl`)."""

from gift.config import RunConfig
from gift.execution.output import Output
from gift.execution.reward_facts import reward_facts, unused_judges
from gift.execution.stage import Stage
from gift.execution.train_once import CHECKPOINTS, compute_settings, health_settings, train_once, training_settings

RANKS = "gift.training.rl"


def policy_output(config: RunConfig, run_id: str, data: str, model: str) -> Output:
    """The run is part of what decides it: a new run always trains anew, a retried task of the same run does not."""
    uses_vllm = config.rollout.engine == "vllm"
    # How long an engine may take decides nothing, and its settings count where it is used.
    unused_settings = {"timeout_minutes"} | (set() if uses_vllm else {"vllm"})
    settings = {
        "run": run_id,
        "algorithm": config.algorithm,
        config.algorithm: getattr(config, config.algorithm),
        "rl": training_settings(config, config.rl),
        "rollout": config.rollout.model_dump(mode="json", exclude=unused_settings),
        "rewards": [reward.model_dump(mode="json") for reward in config.rewards],
        "prompt": config.prompt_format,
        "lora": config.lora,
        "compute": compute_settings(config),
        "health": health_settings(config),
        "seed": config.seed,
    }
    return Output(
        CHECKPOINTS,
        __name__,
        settings,
        {"data": data, "model": model},
        facts=reward_facts(config),
        unused=unused_judges(config) | (set() if uses_vllm else {"vllm"}) | (set() if config.lora else {"peft"}),
    )


def train_policy(stage: Stage, data: str, model: str) -> str:
    """Returns: URI of the trained weights."""
    made = policy_output(stage.config, stage.run_id, data, model)
    return train_once(stage, RANKS, made, {"algorithm": stage.config.algorithm})

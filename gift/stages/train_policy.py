"""Stage: SFT model + prompts → checkpoint of the trained policy (DeepSpeed ranks of `gift.training.rl`)."""

from gift.config import FolderModel, FunctionReward, ModelReward, RewardConfig, RunConfig
from gift.execution.output import Output
from gift.execution.stage import Stage
from gift.execution.train_once import CHECKPOINTS, compute_settings, train_once
from gift.fingerprint.files import sha256_of
from gift.fingerprint.own_code import own_code

RANKS = "gift.training.rl"


def policy_output(config: RunConfig, run_id: str, data: str, model: str) -> Output:
    """The run is part of what decides it: a new run always trains anew, a retried task of the same run does not."""
    uses_vllm = config.rollout.engine == "vllm"
    settings = {
        "run": run_id,
        "algorithm": config.algorithm,
        config.algorithm: getattr(config, config.algorithm),
        "rl": config.rl.model_dump(mode="json", exclude={"checkpoint_every"}),
        "rollout": config.rollout.model_dump(mode="json", exclude=set() if uses_vllm else {"vllm"}),
        "rewards": [reward.model_dump(mode="json") for reward in config.rewards],
        "prompt": config.prompt,
        "compute": compute_settings(config),
        "seed": config.seed,
    }
    return Output(
        CHECKPOINTS,
        __name__,
        settings,
        {"data": data, "model": model},
        facts=reward_facts(config),
        unused=_unused(config, uses_vllm=uses_vllm),
    )


def train_policy(stage: Stage, data: str, model: str) -> str:
    """Returns: URI of a ZeRO checkpoint."""
    made = policy_output(stage.config, stage.run_id, data, model)
    return train_once(stage, RANKS, made, {"algorithm": stage.config.algorithm})


def reward_facts(config: RunConfig) -> dict[str, str]:
    """What the rewards are beside their settings: the code of own functions, the files of reward models in folders."""
    facts: dict[str, str] = {}
    for reward in config.rewards:
        facts |= _facts_of(reward)
    return facts


def _facts_of(reward: RewardConfig) -> dict[str, str]:
    match reward:
        case FunctionReward(function=function):
            return own_code(function)
        case ModelReward(name=name, model=FolderModel(path=folder)):
            # With several nodes the folder may be theirs alone; then its path has to do.
            files = sorted(path for path in folder.glob("*") if path.is_file())
            return {f"file {name}/{path.name}": sha256_of(path) for path in files}
        case _:
            return {}


def _unused(config: RunConfig, *, uses_vllm: bool) -> set[str]:
    judges = any(reward.kind == "math" for reward in config.rewards)
    return {name for name, used in (("vllm", uses_vllm), ("math_verify", judges)) if not used}

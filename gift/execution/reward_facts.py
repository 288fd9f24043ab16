"""What rewards decide of an output beside their settings: own code and files, and the packages that judge."""

from gift.config import FolderModel, FunctionReward, ModelReward, RewardConfig, RunConfig
from gift.fingerprint.files import sha256_of
from gift.fingerprint.own_code import own_code


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


def unused_judges(config: RunConfig) -> set[str]:
    """Modules of `gift.fingerprint.packages.COMPUTING` that score no response of this run."""
    return set() if any(reward.kind == "math" for reward in config.rewards) else {"latex2sympy2_extended"}

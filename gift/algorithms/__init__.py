"""The objectives, one file each: pure functions from scored groups to one loss per group.

Left out: everything that makes a group (gift/rollout, gift/rewards) and that follows its gradient (gift/training). May
import `config` and `errors`.
"""

from collections.abc import Callable
from functools import partial

from gift.algorithms.cispo import cispo_loss
from gift.algorithms.dapo import dapo_loss
from gift.algorithms.dpo import dpo_loss
from gift.algorithms.dr_grpo import dr_grpo_loss
from gift.algorithms.gift import gift_loss
from gift.algorithms.grpo import grpo_loss
from gift.algorithms.gspo import gspo_loss
from gift.algorithms.gvpo import gvpo_loss
from gift.algorithms.oapl import oapl_loss
from gift.algorithms.objective import GroupLosses, ScoredGroups
from gift.algorithms.una import una_loss
from gift.config import RunConfig

__all__ = ["GroupLosses", "ScoredGroups", "load_objective"]


def load_objective(config: RunConfig) -> Callable[[ScoredGroups], GroupLosses]:
    """The objective that `config.algorithm` names, with its section's options."""
    match config.algorithm:
        case "gift":
            return partial(gift_loss, options=config.gift)
        case "grpo":
            return partial(grpo_loss, options=config.grpo)
        case "gvpo":
            return partial(gvpo_loss, options=config.gvpo)
        case "dr_grpo":
            return partial(dr_grpo_loss, options=config.dr_grpo, longest=config.rollout.max_new_tokens)
        case "dapo":
            return partial(dapo_loss, options=config.dapo, longest=config.rollout.max_new_tokens)
        case "gspo":
            return partial(gspo_loss, options=config.gspo)
        case "cispo":
            return partial(cispo_loss, options=config.cispo)
        case "oapl":
            return partial(oapl_loss, options=config.oapl)
        case "dpo":
            return partial(dpo_loss, options=config.dpo)
        case "una":
            return partial(una_loss, options=config.una)

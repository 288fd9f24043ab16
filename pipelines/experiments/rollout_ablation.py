"""How many responses per prompt (the paper's Figure 2a), and log-ratios summed or averaged over tokens (Figure 2b)."""

from enum import StrEnum

from gift.config import RunConfig
from gift.errors import GiftError
from pipelines.experiments.experiment import Experiment, Variant

GROUP_SIZES = (2, 4, 8, 16, 32)


class Budget(StrEnum):
    """What stays the same from one group size to the next."""

    prompts = "prompts"
    responses = "responses"


def rollout_ablation(base: RunConfig, budget: Budget = Budget.prompts) -> Experiment:
    """GIFT with N responses per prompt, and the mean over tokens, with the SFT model as the reference.

    Raises:
        GiftError: with the same number of responses, a group size leaves no whole group for every rank.
    """
    sizes = tuple(
        Variant(f"n{size}", f"N = {size}", (f"rollout.group_size={size}", *_batch(base, size, budget)))
        for size in GROUP_SIZES
    )
    mean = Variant(
        "mean", f"N = {base.rollout.group_size}, mean over tokens", ("gift.reduction=mean", mean_floor(base))
    )
    return Experiment(
        name="rollout-ablation",
        title=f"Group size and token reduction, the same {budget.value} per step",
        question=(
            "Does GIFT gain from more responses per prompt, at what cost in time; and is a sum over tokens better than "
            "a mean?"
        ),
        variants=(*sizes, mean),
        baseline=f"n{base.rollout.group_size}" if base.rollout.group_size in GROUP_SIZES else f"n{GROUP_SIZES[2]}",
        settings=("algorithm=gift", "gift.reference=sft", f"rl.heldout_every={max(1, base.rl.steps // 10)}"),
        options=(f"--budget {budget.value}",),
    )


def mean_floor(base: RunConfig) -> str:
    """The setting of a floor in nats per token that is `base`'s floor for responses of half the longest length."""
    return f"gift.std_floor={base.gift.std_floor / (base.rollout.max_new_tokens / 2):.2g}"


def _batch(base: RunConfig, size: int, budget: Budget) -> tuple[str, ...]:
    """Prompts per step."""
    prompts = base.rl.prompts_per_step
    if budget is Budget.responses:
        prompts = base.rl.prompts_per_step * base.rollout.group_size // size
    share, rest = divmod(prompts, base.compute.ranks * base.rl.mini_batches)
    if share == 0 or rest:
        raise GiftError(
            f"--budget responses leaves {prompts} prompts per step for groups of {size}, which {base.compute.ranks} "
            f"ranks and {base.rl.mini_batches} mini-batches cannot share; raise rl.prompts_per_step"
        )
    return (f"rl.prompts_per_step={prompts}",)

"""A look at held-out problems while training goes on: how much of the gain is only on the training prompts.

Nothing is learned or chosen from them here; the benchmark proper is lm-eval's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist

from gift.config import RunConfig
from gift.data.problems import Problem
from gift.training.groups import GroupBatch
from gift.training.order import derived_seed
from gift.training.reduce import sum_over_ranks
from gift.training.sampling import Sampler


@dataclass(frozen=True)
class Heldout:
    """This rank's share of the held-out problems, which may be none."""

    problems: Sequence[Problem]
    prompts: Sequence[Sequence[int]]


def due(config: RunConfig, step: int) -> bool:
    """Whether to look in `step`: every `rl.heldout_every` steps, and in the last."""
    every = config.rl.heldout_every
    return every > 0 and (step % every == 0 or step == config.rl.steps - 1)


def heldout_metrics(sampler: Sampler, heldout: Heldout, batch: GroupBatch, device: torch.device) -> dict[str, float]:
    """Accuracy by the first reward, one sampled response per held-out problem, beside that of the batch. All ranks.

    Both come from the same policy: call it before the batch's update, with a rollout engine that has its weights. With
    `rollout.lag` the batch comes from an older one, and so does its accuracy.
    """
    sums = {"heldout": 0.0, "heldout_count": 0.0}
    name = sampler.config.rewards[0].name
    # The same seed at every look, so that looks differ by the policy and less by luck.
    seed = derived_seed(sampler.config.seed, "heldout", dist.get_rank())
    with sampler.sampling():
        scored = sampler.scored(heldout.prompts, heldout.problems, 1, seed)
    if scored is not None:
        sums = _sum_and_count("heldout", scored.by_name[name])
    sums |= _sum_and_count("train", batch.by_name.get(name, batch.rewards))
    totals = sum_over_ranks(sums, device)
    heldout_accuracy = totals["heldout"] / max(totals["heldout_count"], 1)
    train_accuracy = totals["train"] / max(totals["train_count"], 1)
    return {
        "heldout_accuracy": heldout_accuracy,
        "train_accuracy": train_accuracy,
        "overfitting_gap": train_accuracy - heldout_accuracy,
    }


def _sum_and_count(name: str, values: torch.Tensor) -> dict[str, float]:
    """Of the values that are there; a reward that does not apply to a problem gives NaN."""
    return {name: float(values.nansum()), f"{name}_count": float((~values.isnan()).sum())}

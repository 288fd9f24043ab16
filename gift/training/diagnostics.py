"""The metrics of one step, from sums over ranks; the names are TRL's where TRL has them.

`kl` is the k3 estimator per token against the SFT model and `entropy` that of π itself at the sampled tokens, both in
nats. `num_tokens` counts prompts and responses since training began; `completions/group_std_length` is the standard
deviation of the lengths within a group; `scoring_time` is the part of `sampling_time` that the rewards took after the
last response was there; `updates` is how many of the step's updates were taken (none where no group
counts). What an objective itself reports (for GIFT the correlation of both rewards, the spread of the implicit one, the
share of groups at the floor) is a mean over the groups that count; of GIFT's β(x), which not every group has, there are
the mean and quantiles. With `rollout.lag` everything but `kl` and `entropy` describes the batch that is learned from,
also how long its sampling took, and `sampling/kl` is KL(π that sampled ‖ π that learns) per token, by k3.

Where bf16 computes, a look at held-out problems also measures `gift/implicit_reward_noise`.
"""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gift.algorithms.objective import active_groups
from gift.policy.float32 import in_float32
from gift.training.groups import GroupBatch, truncated_responses
from gift.training.reduce import sum_over_ranks
from gift.training.update import Learner, log_probabilities_of


def batch_sums(batch: GroupBatch, ends: Sequence[int]) -> dict[str, float]:
    """What this rank's part of a batch looks like, as sums."""
    lengths = batch.rollouts.response_mask.sum(dim=1)
    sums = {
        "groups": float(len(batch.names)),
        "sampled_groups": float(batch.sampled_groups),
        "responses": float(len(batch.rollouts)),
        "tokens": float(lengths.sum()),
        "length_std": float(lengths.view(batch.rewards.shape).float().std(dim=1).sum()),
        "prompt_tokens": float(batch.rollouts.prompt_mask.sum()),
        "clipped": float(truncated_responses(batch.rollouts, ends).sum()),
        "reward": float(batch.rewards.sum()),
        "reward_std": float(batch.rewards.std(dim=1).sum()),
        "zero_std": float((~active_groups(batch.rewards)).sum()),
        "sampling_seconds": batch.seconds,
        "scoring_seconds": batch.scoring_seconds,
    }
    for name, values in batch.by_name.items():  # NaN where a reward does not apply
        sums |= {f"mean/{name}": float(values.nansum()), f"judged/{name}": float((~values.isnan()).sum())}
    return sums | {f"errors/{name}": float(count) for name, count in batch.errors.items()}


def step_metrics(
    sums: Mapping[str, float],
    *,
    grad_norm: float,
    learning_rate: float,
    seconds: float,
    earlier_tokens: float,
    device: torch.device,
) -> dict[str, float]:
    """Metrics of the whole batch, the same on every rank. All ranks.

    Args:
        sums: this rank's, from `batch_sums` and `gift.training.update.update`.
        grad_norm: of the last update that was taken; 0 where none was.
        seconds: what this rank took to sample, score and learn.
        earlier_tokens: `num_tokens` of the step before.
    """
    ranks = dist.get_world_size()
    totals = sum_over_ranks({**sums, "seconds": seconds}, device)
    responses, tokens, groups = totals["responses"], totals["tokens"], totals["groups"]
    mean_seconds = totals["seconds"] / ranks
    metrics = {
        "reward": totals["reward"] / responses,
        "reward_std": totals["reward_std"] / groups,
        "frac_reward_zero_std": totals["zero_std"] / groups,
        "loss": totals["loss"] / max(totals["counted"], 1),
        "entropy": totals["entropy"] / tokens,
        "completions/mean_length": tokens / responses,
        "completions/group_std_length": totals["length_std"] / groups,
        "completions/clipped_ratio": totals["clipped"] / responses,
        "grad_norm": grad_norm,
        "updates": totals["updates"] / ranks,
        "learning_rate": learning_rate,
        "num_tokens": earlier_tokens + tokens + totals["prompt_tokens"],
        "step_time": mean_seconds,
        "sampling_time": totals["sampling_seconds"] / ranks,
        "scoring_time": totals["scoring_seconds"] / ranks,
        "tokens_per_second": tokens / mean_seconds,
        "sampled_groups": totals["sampled_groups"],
    }
    if "kl" in totals:
        metrics["kl"] = totals["kl"] / tokens
    if "lag_kl" in totals:
        metrics["sampling/kl"] = totals["lag_kl"] / tokens
    if "engine_gap" in totals:
        metrics["sampling/sampling_logp_difference/mean"] = totals["engine_gap"] / tokens
        metrics["sampling/importance_sampling_ratio/mean"] = totals["engine_ratio"] / tokens
    for name, total in totals.items():
        kind, _, rest = name.partition("/")
        match kind:
            case "objective":
                metrics[rest] = total / max(totals["counted"], 1)
            case "spread":  # of all ranks, on each of them
                metrics[rest] = total / ranks
            case "mean":
                metrics[f"rewards/{rest}/mean"] = total / max(totals[f"judged/{rest}"], 1)
            case "errors":
                metrics[f"rewards/{rest}/errors"] = total
    return metrics


def implicit_reward_noise(learner: Learner, batch: GroupBatch) -> dict[str, float]:
    """What rounding adds to an implicit reward: `gift/implicit_reward_noise`, in nats. All ranks.

    The standard deviation, within the first group of each rank, of Σ_t log π_θ − log π_ref as bf16 computes it less
    what float32 makes of the same rounded weights. GIFT's floor (`gift.std_floor`) must be well above it, as nothing in
    a group tells it from a reward. Empty where float32 computes, or no model is the reference.
    """
    reference = learner.reference
    if reference is None or learner.config.compute.precision == "fp32":
        return {}
    group = batch.groups(0, 1)

    def implicit_rewards(reference: nn.Module = reference) -> Tensor:
        policy, anchor = (log_probabilities_of(learner, model, group) for model in (learner.engine, reference))
        return (policy - anchor).double().sum(dim=1)  # (N,)

    rounded = implicit_rewards()
    with in_float32(learner.engine.module), in_float32(reference):
        errors = rounded - implicit_rewards()
    squares = float((errors - errors.mean()).square().sum())
    total = sum_over_ranks({"squares": squares}, learner.device)["squares"]
    return {"gift/implicit_reward_noise": math.sqrt(total / (dist.get_world_size() * (len(errors) - 1)))}

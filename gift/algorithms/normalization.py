"""The paper's first sanity check (arXiv 2510.23868): log Z(x) changes no normalised implicit reward, and nor does β.

`measure_normalization` takes groups of scored responses, estimates log Z(x) of each response's own prompt for several
β, and gives the figures; `refuse` judges them. On paper both cancel always; here they do only where the responses of a
group answer one prompt and are normalised together. Left out: where groups come from
(gift/stages/check_normalization.py).
"""

from collections.abc import Sequence

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from gift.algorithms.objective import ScoredGroups, implicit_rewards
from gift.algorithms.partition import effective_sample_size, largest_normalised_difference, log_partition
from gift.errors import GiftError

LIMIT = 1e-4
"""Largest difference between two normalised implicit rewards that count as equal; the paper's number."""
BETAS = (0.01, 0.1, 1.0)
"""Up to the paper's own."""


class BetaResult(BaseModel):
    """The check with one β; tuples have one entry per group."""

    model_config = ConfigDict(frozen=True)
    beta: float
    differences: tuple[float, ...]
    """Largest difference between the normalised implicit rewards with and without β·log Z(x)."""
    log_partition: tuple[float, ...]
    """The estimate of log Z(x), in nats, of the prompt of the group's first response."""
    effective_sample_size: tuple[float, ...]
    """Of that estimate, from 1 to the group's size."""


class Normalization(BaseModel):
    """All figures of one check; tuples have one entry per group, in the order of `problems`."""

    model_config = ConfigDict(frozen=True)
    problems: tuple[str, ...]
    group_size: int
    mean_rewards: tuple[float, ...]
    implicit_reward_std: tuple[float, ...]
    """Standard deviation of s = log π_θ − log π_ref, in nats."""
    betas: tuple[BetaResult, ...]
    differences_between_betas: tuple[float, ...]
    """Largest difference between the normalised implicit rewards of the first β and another, without log Z(x)."""


def measure_normalization(groups: Sequence[ScoredGroups], prompts: Tensor) -> Normalization:
    """The figures, computed in float64.

    Args:
        groups: of N responses each, G in all.
        prompts: (G, N) int64 from 0, equal where two responses answer the same prompt.
    """
    log_ratios = torch.cat([implicit_rewards(g.policy.double(), g.reference.double(), g.mask) for g in groups])
    rewards = torch.cat([g.rewards.double() for g in groups])  # both (G, N)
    between = [largest_normalised_difference(BETAS[0] * log_ratios, beta * log_ratios) for beta in BETAS[1:]]
    return Normalization(
        problems=tuple(name for g in groups for name in g.names),
        group_size=rewards.shape[1],
        mean_rewards=rewards.mean(dim=1).tolist(),
        implicit_reward_std=log_ratios.std(dim=1, correction=0).tolist(),
        betas=tuple(_with_beta(log_ratios, rewards, prompts, beta) for beta in BETAS),
        differences_between_betas=torch.stack(between).amax(dim=0).tolist(),
    )


def _with_beta(log_ratios: Tensor, rewards: Tensor, prompts: Tensor, beta: float) -> BetaResult:
    log_z = log_partition(log_ratios, rewards, prompts, beta)  # (G, N)
    without_z = beta * log_ratios
    with_z = without_z + beta * log_z
    return BetaResult(
        beta=beta,
        differences=largest_normalised_difference(without_z, with_z).tolist(),
        log_partition=log_z[:, 0].tolist(),
        effective_sample_size=effective_sample_size(log_ratios, rewards, prompts, beta)[:, 0].tolist(),
    )


def refuse(result: Normalization) -> None:
    """Raises: GiftError: two versions differ by more than `LIMIT` (the problem is named), or there was no difference
    between policy and reference at all, so that the check shows nothing."""
    if max(result.implicit_reward_std) == 0:
        raise GiftError(
            "policy and reference give every response the same probability, so there is nothing to normalise: the "
            "policy was not trained, or no rewards of its training differed; train it longer before the check"
        )
    cases = [(f"with log Z(x) and without (β = {found.beta:g})", found.differences) for found in result.betas]
    for what, differences in [*cases, ("with different β", result.differences_between_betas)]:
        worst = max(differences)
        if worst > LIMIT:
            raise GiftError(
                f"the normalised implicit rewards of problem {result.problems[differences.index(worst)]} {what} "
                f"differ by {worst:.2g}, the limit is {LIMIT:g}: its group holds responses to other prompts, or is not "
                "normalised as a whole"
            )


def metrics(result: Normalization) -> dict[str, float]:
    """What MLflow gets: the largest differences, and means over the groups."""
    figures = {
        "normalization/max_difference": max(max(found.differences) for found in result.betas),
        "normalization/max_difference_between_betas": max(result.differences_between_betas),
        "normalization/mean_reward": _mean(result.mean_rewards),
        "normalization/implicit_reward_std": _mean(result.implicit_reward_std),
    }
    for found in result.betas:
        name = f"beta_{found.beta:g}"
        figures[f"normalization/max_difference/{name}"] = max(found.differences)
        figures[f"normalization/mean_log_partition/{name}"] = _mean(found.log_partition)
        figures[f"normalization/effective_sample_size/{name}"] = _mean(found.effective_sample_size)
    return figures


def summary(result: Normalization) -> str:
    """One line for a person."""
    figures = metrics(result)
    betas = ", ".join(f"{found.beta:g}" for found in result.betas)
    estimates = ", ".join(f"{_mean(found.log_partition):.3g}" for found in result.betas)
    sizes = ", ".join(f"{_mean(found.effective_sample_size):.1f}" for found in result.betas)
    return (
        f"normalised implicit rewards differ by at most {figures['normalization/max_difference']:.1e} with and without "
        f"log Z(x), and by {figures['normalization/max_difference_between_betas']:.1e} between β = {betas} (limit "
        f"{LIMIT:g}); {len(result.problems)} groups of {result.group_size}, mean log Z(x) {estimates}, effective "
        f"sample size {sizes}"
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

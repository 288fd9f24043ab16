"""GIFT: match the group-normalised implicit reward to the group-normalised explicit reward (arXiv 2510.23868).

For one prompt and N responses y_1 … y_N sampled from the current policy:

    s_i = Σ_t [log π_θ(y_i,t) − log π_ref(y_i,t)]         implicit reward, up to β and β·log Z(x)
    A_i = (r_i − mean r) / std r                          normalised explicit reward
    B_i = (s_i − mean s) / max(std s, floor)              normalised implicit reward
    L   = mean_i (A_i − B_i)²

Subtracting the group's mean cancels log Z(x), which is the same for every response of a prompt; dividing by the
group's standard deviation cancels β.

Two choices are not in the paper's formula. The mean and the standard deviation of s are constants to the gradient, as
in the author's code; and the standard deviation has a floor, because at π_θ = π_ref every s is 0 and, without a floor,
the loss is already minimal at an infinitesimal s ∝ A: the policy would stay where it started. Below the floor the loss
is (A − s/floor)², a regression onto the KL-regularised optimum with β = 1/floor.

Left out: other references, statistics and token reductions, and the baselines GRPO, DPO and UNA.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GiftTerms:
    """The objective before it is averaged, and what it was made of; G groups of N responses."""

    squared_error: Tensor
    """(G, N): (A − B)² per response; 0 in groups that carry no signal. Carries the gradient."""
    active: Tensor
    """(G,) bool: the group's rewards differ, so that it says which responses are better."""
    implicit_std: Tensor
    """(G,): std of s within the group, without gradient."""
    correlation: Tensor
    """(G,): Pearson correlation of explicit and implicit reward; 0 where either is constant."""


def gift_terms(implicit_rewards: Tensor, rewards: Tensor, std_floor: float) -> GiftTerms:
    """The GIFT objective, one term per response; the caller averages over the responses of all active groups.

    Args:
        implicit_rewards: (G, N) s_i, float, with gradient.
        rewards: (G, N) r_i, float.
        std_floor: lower bound of std(s) in nats, > 0.

    Raises:
        ValueError: a group has fewer than two responses, or a reward is not finite (the first one is named).
    """
    if implicit_rewards.shape != rewards.shape or rewards.dim() != 2 or rewards.shape[1] < 2:
        raise ValueError(
            f"expected two (G, N >= 2) tensors, got {tuple(implicit_rewards.shape)}, {tuple(rewards.shape)}"
        )
    _refuse_non_finite("implicit reward", implicit_rewards)
    _refuse_non_finite("reward", rewards)

    active = active_groups(rewards)
    explicit = _normalise(rewards)
    implicit_mean = implicit_rewards.detach().mean(dim=1, keepdim=True)
    implicit_std = implicit_rewards.detach().std(dim=1, correction=0)
    implicit = (implicit_rewards - implicit_mean) / implicit_std.clamp_min(std_floor)[:, None]

    return GiftTerms(
        squared_error=(explicit - implicit).square() * active[:, None],
        active=active,
        implicit_std=implicit_std,
        correlation=(explicit * _normalise(implicit_rewards.detach())).mean(dim=1),
    )


def active_groups(rewards: Tensor) -> Tensor:
    """(G, N) rewards → (G,) bool: groups whose rewards differ; known before the policy is evaluated."""
    # Compared exactly: the computed std of equal rewards can be a rounding error above 0.
    return rewards.amax(dim=1) > rewards.amin(dim=1)


def _normalise(values: Tensor) -> Tensor:
    """(G, N) → mean 0 and (biased) std 1 per group; all 0 in a constant group."""
    std = values.std(dim=1, correction=0, keepdim=True)
    scale = torch.where(active_groups(values)[:, None], std, torch.full_like(std, torch.inf))
    return (values - values.mean(dim=1, keepdim=True)) / scale


def _refuse_non_finite(name: str, values: Tensor) -> None:
    bad = (~torch.isfinite(values)).nonzero()
    if len(bad):
        group, response = bad[0].tolist()
        raise ValueError(f"{name} of group {group}, response {response} is {values[group, response].item()}")

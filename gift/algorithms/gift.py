"""GIFT: match the group-normalised implicit reward to the group-normalised explicit reward (arXiv 2510.23868).

For one prompt x and N responses y_1 … y_N:

    s_i = Σ_t [log π_θ(y_i,t) − log π_ref(y_i,t)]             implicit reward, up to β and β·log Z(x)
    A_i = (r_i − mean r) / std r                              normalised explicit reward
    B_i = scale · (s_i − mean s) / (max(std s, floor) + ε)    normalised implicit reward
    L   = mean_i (A_i − B_i)²                                 the paper's L_GIFT

Subtracting the group's mean cancels log Z(x), which all responses of a prompt share; dividing by the group's standard
deviation cancels β. The floor is not in the paper: without it the loss is already minimal at an infinitesimal s ∝ A,
and the policy stays where it started. Below the floor f the loss is (A − s/f)², a regression onto the KL-regularised
optimum with β = 1/f. docs/algorithms.md derives both.

Left out: which groups count when their rewards are all equal (`zero_variance`), which is the trainer's choice.
"""

import torch
from torch import Tensor

from gift.algorithms.objective import GroupLosses, ScoredGroups, active_groups, implicit_rewards, normalise
from gift.config import GiftConfig


def gift_loss(groups: ScoredGroups, options: GiftConfig) -> GroupLosses:
    """GIFT's loss of each group, (G,); the comments give the term of the formula.

    Metrics, (G,): `gift/correlation` of A and s (0 where either is constant), `gift/implicit_reward_std` in nats, and
    `gift/frac_at_floor`, 1 where the floor replaced that standard deviation. Spread: `gift/beta`, the paper's
    β(x) = std r / std s in units of the reward per nat, for groups where neither is constant.
    """
    correction = 1 if options.std == "unbiased" else 0
    reference = groups.reference if options.reference == "sft" else groups.rollout
    implicit = implicit_rewards(groups.policy, reference, groups.mask, options.reduction)  # s, (G, N)

    statistics = implicit.detach() if options.statistics == "detached" else implicit
    mean = statistics.mean(dim=1, keepdim=True)  # (G, 1)
    # torch.std, unlike var().sqrt(), has a gradient where all s are equal (0), so that attached statistics work there.
    std = statistics.std(dim=1, correction=correction, keepdim=True)  # (G, 1)
    denominator = std.clamp_min(options.std_floor) + options.std_epsilon

    normalised_explicit = normalise(groups.rewards, correction)  # A, (G, N)
    normalised_implicit = options.scale * (implicit - mean) / denominator  # B, (G, N)

    fixed = implicit.detach()
    return GroupLosses(
        losses=(normalised_explicit - normalised_implicit).square().mean(dim=1),
        metrics={
            "gift/correlation": (normalise(groups.rewards, 0) * normalise(fixed, 0)).mean(dim=1),
            "gift/implicit_reward_std": std.detach().squeeze(1),
            "gift/frac_at_floor": (std.detach() < options.std_floor).squeeze(1).to(fixed.dtype),
        },
        spreads={"gift/beta": _beta(groups.rewards, fixed, correction)},
    )


def _beta(rewards: Tensor, implicit: Tensor, correction: int) -> Tensor:
    """β(x) of each group, (G,): the coefficient of the KL term under which s would be what it is, were it right."""
    differ = active_groups(rewards) & active_groups(implicit)
    ratio = rewards.std(dim=1, correction=correction) / implicit.std(dim=1, correction=correction)
    return torch.where(differ, ratio, torch.nan)

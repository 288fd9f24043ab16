"""Scored groups for the tests of the objectives: made up at random, or straight from implicit rewards."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from gift.algorithms import GroupLosses, ScoredGroups

Objective = Callable[[ScoredGroups], GroupLosses]


def random_groups(groups: int = 3, size: int = 5, tokens: int = 6, seed: int = 0, spread: float = 0.3) -> ScoredGroups:
    """Responses of 1 to `tokens` tokens, of which the longest were cut off half the time, float64; five policies that
    differ by `spread` nats per token."""
    generator = torch.Generator().manual_seed(seed)
    shape = (groups, size, tokens)

    def noise() -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    lengths = torch.randint(1, tokens + 1, (groups, size, 1), generator=generator)
    mask = torch.arange(tokens) < lengths
    rollout = torch.where(mask, -1 - noise().abs(), 0.0)

    def near() -> Tensor:
        return torch.where(mask, rollout + spread * noise(), 0.0)

    return ScoredGroups(
        policy=near(),
        reference=near(),
        rollout=rollout,
        mask=mask,
        rewards=torch.rand((groups, size), generator=generator, dtype=torch.float64),
        names=tuple(f"problem-{index}" for index in range(groups)),
        truncated=(lengths.squeeze(2) == tokens) & (torch.rand((groups, size), generator=generator) < 0.5),
        before=near(),
        sampler=near(),
    )


def from_implicit(implicit: Tensor, rewards: Tensor) -> ScoredGroups:
    """One token per response, whose log-ratio to both reference and rollout is the implicit reward (G, N)."""
    base = torch.full_like(implicit, -1.0).detach()[:, :, None]
    return ScoredGroups(
        policy=base + implicit[:, :, None],
        reference=base,
        rollout=base,
        mask=torch.ones_like(base, dtype=torch.bool),
        rewards=rewards,
        names=tuple(f"problem-{index}" for index in range(len(rewards))),
    )


def gradient(objective: Objective, groups: ScoredGroups) -> Tensor:
    """∂(sum of losses)/∂policy, (G, N, R)."""
    policy = groups.policy.detach().clone().requires_grad_()
    (result,) = torch.autograd.grad(objective(replace(groups, policy=policy)).losses.sum(), policy)
    return result


def implicit_gradient(objective: Objective, implicit: Tensor, rewards: Tensor) -> Tensor:
    """∂(sum of losses)/∂s, (G, N)."""
    return gradient(objective, from_implicit(implicit, rewards)).squeeze(2)

"""What every objective takes and gives: groups of scored responses in, one loss per group out.

    ScoredGroups (log-probabilities and rewards) ── objective ──> GroupLosses (losses and metrics)

The trainer averages the losses over all groups that count, on all ranks and micro-batches; an objective never sees
more than whole groups. Left out: which groups count, and how they were sampled.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from gift.errors import GiftError


@dataclass(frozen=True)
class ScoredGroups:
    """G groups of N ≥ 2 responses with at most R tokens each; log-probabilities are in nats, 0 where masked."""

    policy: Tensor
    """(G, N, R) log π_θ(y_t | x, y_<t); carries the gradient."""
    reference: Tensor
    """(G, N, R) log π_ref, the SFT model's."""
    rollout: Tensor
    """(G, N, R) log π_old of the policy that sampled, as the trainer computes it."""
    mask: Tensor
    """(G, N, R) bool: real tokens."""
    rewards: Tensor
    """(G, N) explicit rewards."""
    names: tuple[str, ...]
    """(G,) the problems, for error messages."""
    truncated: Tensor | None = None
    """(G, N) bool: responses that were cut off before they ended; None where none was."""
    before: Tensor | None = None
    """(G, N, R) the policy's own before the batch's first update; None where that is the one that sampled."""
    sampler: Tensor | None = None
    """(G, N, R) of the policy that sampled as its engine computed them; None where the trainer's are all there is."""

    def __post_init__(self) -> None:
        """Raises: GiftError: a number is not finite; the first such response is named."""
        if self.rewards.dim() != 2 or self.rewards.shape[1] < 2:
            raise ValueError(f"expected rewards (G, N >= 2), got {tuple(self.rewards.shape)}")
        scores = {
            name: tensor
            for name in ("policy", "reference", "rollout", "before", "sampler")
            if (tensor := getattr(self, name)) is not None
        }
        for name, tensor in {**scores, "mask": self.mask}.items():
            if tensor.dim() != 3 or tensor.shape[:2] != self.rewards.shape or tensor.shape != self.policy.shape:
                raise ValueError(
                    f"{name} {tuple(tensor.shape)} does not fit rewards {tuple(self.rewards.shape)} and policy "
                    f"{tuple(self.policy.shape)}"
                )
        for name, tensor in scores.items():
            self._refuse_non_finite(f"{name} log-probability", tensor)
        self._refuse_non_finite("reward", self.rewards)

    def _refuse_non_finite(self, what: str, values: Tensor) -> None:
        bad = (~torch.isfinite(values.detach())).nonzero()
        if len(bad):
            group, response, *token = bad[0].tolist()
            place = f", token {token[0]}" if token else ""
            value = values.detach()[tuple(bad[0].tolist())].item()
            raise GiftError(f"{what} of problem {self.names[group]}, response {response}{place} is {value}")


@dataclass(frozen=True)
class GroupLosses:
    """One loss per group, and what is worth logging."""

    losses: Tensor
    """(G,) with gradient."""
    metrics: Mapping[str, Tensor] = field(default_factory=dict)
    """name → (G,), without gradient; logged as the mean over groups."""
    spreads: Mapping[str, Tensor] = field(default_factory=dict)
    """name → (G,), without gradient, NaN where a group has none; logged as mean and quantiles over groups."""


def implicit_rewards(
    policy: Tensor, reference: Tensor, mask: Tensor, reduction: Literal["sum", "mean"] = "sum"
) -> Tensor:
    """s = Σ_t [log π_θ − log π_ref] over a response's tokens, or their mean: (G, N, R) → (G, N)."""
    totals = torch.where(mask, policy - reference, 0.0).sum(dim=2)
    return totals if reduction == "sum" else totals / mask.sum(dim=2).clamp_min(1)


def active_groups(rewards: Tensor) -> Tensor:
    """(G, N) rewards → (G,) bool: groups whose rewards differ, so that they say which responses are better."""
    # Compared exactly: the computed std of equal rewards can be a rounding error above 0.
    return rewards.amax(dim=1) > rewards.amin(dim=1)


def normalise(values: Tensor, correction: int) -> Tensor:
    """(G, N) → mean 0 and standard deviation 1 per group (divisor N − correction); all 0 in a constant group."""
    low = values.amin(dim=1, keepdim=True)
    span = values.amax(dim=1, keepdim=True) - low
    differs = span > 0
    # In [0, 1] the squares of a standard deviation neither overflow nor vanish, whatever the unit of the values.
    unit = (values - low) / torch.where(differs, span, torch.inf)
    std = unit.std(dim=1, correction=correction, keepdim=True)
    return (unit - unit.mean(dim=1, keepdim=True)) / torch.where(differs, std, torch.inf)

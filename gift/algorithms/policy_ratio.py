"""What objectives that weigh tokens by π_θ/π_old share: the ratio, its clip, the KL term, and means over tokens.

    q_t    = π_θ(o_t) / π_old(o_t)
    clip   = min[q A, clip(q, 1 − low, 1 + high) A]        PPO's pessimistic surrogate (arXiv 1707.06347, equation 7)
    k3_t   = π_ref/π_θ − log(π_ref/π_θ) − 1

All tensors are (G, N, R), or (G, N, 1) where a whole response has one ratio. Left out: what is summed over what, which
is where the objectives differ.
"""

import torch
from torch import Tensor

from gift.algorithms.objective import ScoredGroups


def policy_ratio(policy: Tensor, old: Tensor, mask: Tensor) -> Tensor:
    """q, (G, N, R); 1 where masked."""
    # Masked before exp, so that nothing behind the mask can overflow into the gradient.
    return torch.where(mask, policy - old, 0.0).exp()


def clipped_surrogate(ratio: Tensor, advantages: Tensor, low: float, high: float) -> Tensor:
    """min[q A, clip(q) A], to be made large; `advantages` is (G, N, 1)."""
    return torch.minimum(ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages)


def clip_metrics(ratio: Tensor, advantages: Tensor, mask: Tensor, low: float, high: float) -> dict[str, Tensor]:
    """Shares of what `mask` counts whose gradient the clip removed, (G,) each, named as TRL does: where the policy
    became too unlikely (`clip_ratio/low_mean`), too likely (`clip_ratio/high_mean`), or either (`region_mean`)."""
    fixed = ratio.detach()
    too_low = (fixed < 1 - low) & (advantages < 0)
    too_high = (fixed > 1 + high) & (advantages > 0)
    return {
        "clip_ratio/low_mean": share_of_tokens(too_low, mask),
        "clip_ratio/high_mean": share_of_tokens(too_high, mask),
        "clip_ratio/region_mean": share_of_tokens(too_low | too_high, mask),
    }


def token_kl(groups: ScoredGroups) -> Tensor:
    """k3, (G, N, R): at tokens of π_θ its mean is KL(π_θ ‖ π_ref)."""
    log_ratio = torch.where(groups.mask, groups.reference - groups.policy, 0.0)
    return log_ratio.exp() - log_ratio - 1


def response_token_mean(values: Tensor, mask: Tensor) -> Tensor:
    """(G, N, R) → (G, N): mean over the real tokens of each response; 0 for an empty one."""
    return torch.where(mask, values, 0.0).sum(dim=2) / mask.sum(dim=2).clamp_min(1)


def group_token_mean(values: Tensor, mask: Tensor) -> Tensor:
    """(G, N, R) → (G,): mean over the real tokens of all responses of a group; 0 where there are none."""
    return torch.where(mask, values, 0.0).sum(dim=(1, 2)) / mask.sum(dim=(1, 2)).clamp_min(1)


def share_of_tokens(chosen: Tensor, mask: Tensor) -> Tensor:
    """(G, N, R) bool → (G,): the share of a group's real tokens."""
    return (chosen & mask).sum(dim=(1, 2)) / mask.sum(dim=(1, 2)).clamp_min(1)

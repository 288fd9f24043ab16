"""Dr. GRPO: GRPO without its two divisors (arXiv 2503.20783, section 3.2).

For one prompt and N responses o_1 … o_N sampled from π_old, and T the longest response that may be sampled:

    A_i    = r_i − mean r
    q_i,t  = π_θ(o_i,t) / π_old(o_i,t)
    L      = −mean_i 1/T Σ_t { min[q_i,t A_i, clip(q_i,t, 1 − low, 1 + high) A_i] − coefficient · k3_i,t }

GRPO's 1/|o_i| makes a token of a long wrong response cost less, so that wrong responses grow; its 1/std r makes
prompts that are nearly always or nearly never solved count more. T is the constant of the paper's own code
(`rollout.max_new_tokens`), a factor on the learning rate.

Left out: nothing.
"""

import torch

from gift.algorithms.objective import GroupLosses, ScoredGroups
from gift.algorithms.policy_ratio import clip_metrics, clipped_surrogate, policy_ratio, token_kl
from gift.config import DrGrpoConfig


def dr_grpo_loss(groups: ScoredGroups, options: DrGrpoConfig, longest: int) -> GroupLosses:
    """Dr. GRPO's loss of each group, (G,), in units of the reward. Metrics: those of `clip_metrics`.

    Args:
        longest: T, in tokens.
    """
    advantages = (groups.rewards - groups.rewards.mean(dim=1, keepdim=True))[:, :, None]  # (G, N, 1)
    low, high, mask = options.clip_low, options.clip_high, groups.mask
    ratio = policy_ratio(groups.policy, groups.rollout, mask)  # (G, N, R)
    surrogate = clipped_surrogate(ratio, advantages, low, high)
    token_losses = options.kl_coefficient * token_kl(groups) - surrogate
    return GroupLosses(
        losses=torch.where(mask, token_losses, 0.0).sum(dim=2).mean(dim=1) / longest,
        metrics=clip_metrics(ratio, advantages, mask, low, high),
    )

"""CISPO: policy gradient whose importance weights are clipped, and no token's gradient (arXiv 2506.13585, equation 4).

For one prompt and N responses o_1 … o_N sampled from π_old:

    A_i    = (r_i − mean r) / std r
    q_i,t  = π_θ(o_i,t) / π_old(o_i,t)
    L      = −1/Σ_i|o_i| Σ_i Σ_t sg[min(q_i,t, weight_max)] A_i log π_θ(o_i,t)

sg has no gradient: each token pulls with A_i times its weight, also those that PPO's clip would silence. As for DAPO,
the mean over tokens is that of a group, as the paper writes it, where TRL takes that of the whole batch.

Left out: the paper's lower bound of the weight, which it sets so low that it never acts.
"""

import torch

from gift.algorithms.objective import GroupLosses, ScoredGroups, normalise
from gift.algorithms.policy_ratio import group_token_mean, policy_ratio, share_of_tokens
from gift.config import CispoConfig


def cispo_loss(groups: ScoredGroups, options: CispoConfig) -> GroupLosses:
    """CISPO's loss of each group, (G,), whose value says nothing; std r has the divisor N − 1.

    Metrics, (G,): the share of tokens with A > 0 and a weight that was cut, `cispo_clip_ratio`, as TRL names it.
    """
    advantages = normalise(groups.rewards, correction=1)[:, :, None]  # (G, N, 1)
    ratio = policy_ratio(groups.policy, groups.rollout, groups.mask).detach()  # (G, N, R)
    weights = ratio.clamp_max(options.weight_max)
    policy = torch.where(groups.mask, groups.policy, 0.0)
    return GroupLosses(
        losses=-group_token_mean(weights * advantages * policy, groups.mask),
        metrics={
            "cispo_clip_ratio": share_of_tokens((ratio > options.weight_max) & (advantages > 0), groups.mask),
        },
    )

"""GSPO: GRPO with one ratio per response (arXiv 2507.18071, equations 5 to 7).

For one prompt and N responses o_1 … o_N sampled from π_old:

    A_i    = (r_i − mean r) / std r
    s_i    = [π_θ(o_i) / π_old(o_i)]^(1/|o_i|) = exp(1/|o_i| Σ_t log π_θ(o_i,t)/π_old(o_i,t))
    L      = −mean_i { min[s_i A_i, clip(s_i, 1 − low, 1 + high) A_i] − coefficient · 1/|o_i| Σ_t k3_i,t }

The power of 1/|o_i| keeps the ratios of all lengths in one range, which is far narrower than that of single tokens. A
response is clipped as a whole.

Left out: GSPO-token, whose gradient is the same where all tokens of a response have one advantage, as here.
"""

import torch

from gift.algorithms.objective import GroupLosses, ScoredGroups, implicit_rewards, normalise
from gift.algorithms.policy_ratio import clip_metrics, clipped_surrogate, response_token_mean, token_kl
from gift.config import GspoConfig


def gspo_loss(groups: ScoredGroups, options: GspoConfig) -> GroupLosses:
    """GSPO's loss of each group, (G,); std r has the divisor N − 1. Metrics: those of `clip_metrics`, as shares of
    responses. A response without tokens counts as 0."""
    advantages = normalise(groups.rewards, correction=1)[:, :, None]  # (G, N, 1)
    low, high = options.clip_low, options.clip_high
    ratio = implicit_rewards(groups.policy, groups.rollout, groups.mask, "mean").exp()[:, :, None]  # s, (G, N, 1)
    answered = groups.mask.any(dim=2, keepdim=True)  # (G, N, 1)
    surrogate = torch.where(answered, clipped_surrogate(ratio, advantages, low, high), 0.0).squeeze(2)  # (G, N)
    divergence = response_token_mean(token_kl(groups), groups.mask)  # (G, N)
    return GroupLosses(
        losses=(options.kl_coefficient * divergence - surrogate).mean(dim=1),
        metrics=clip_metrics(ratio, advantages, answered, low, high),
    )

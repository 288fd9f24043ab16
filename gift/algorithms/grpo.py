"""GRPO: clipped policy gradient with the group as its baseline (DeepSeekMath, arXiv 2402.03300, equations 3 and 4).

For one prompt and N responses o_1 … o_N sampled from π_old:

    A_i    = (r_i − mean r) / std r        (without the division: half of Dr. GRPO); 0 for equal rewards
    q_i,t  = π_θ(o_i,t) / π_old(o_i,t)
    k3_i,t = π_ref/π_θ − log(π_ref/π_θ) − 1                                   at token o_i,t
    L      = −mean_i 1/|o_i| Σ_t { min[q_i,t A_i, clip(q_i,t, 1 − low, 1 + high) A_i] − coefficient · k3_i,t }

With `importance_cap: C`, truncated importance sampling (Yao et al., "Your efficient RL framework secretly brings you
off-policy RL training", 2025): π_old is then the policy before the batch's first update, wherever the responses come
from, and min[…] of each token is multiplied by min(π_old(o_i,t) / π_sampler(o_i,t), C), without gradient.

Left out: truncation of the ratio of a whole response.
"""

from gift.algorithms.objective import GroupLosses, ScoredGroups, normalise
from gift.algorithms.policy_ratio import clip_metrics, clipped_surrogate, policy_ratio, response_token_mean, token_kl
from gift.config import GrpoConfig


def grpo_loss(groups: ScoredGroups, options: GrpoConfig) -> GroupLosses:
    """GRPO's loss of each group, (G,); std r has the divisor N − 1. Metrics: those of `clip_metrics`, and with
    `importance_cap` the mean of the truncated weights, `importance_weight`."""
    if options.normalise_std:
        advantages = normalise(groups.rewards, correction=1)  # (G, N)
    else:
        advantages = groups.rewards - groups.rewards.mean(dim=1, keepdim=True)
    advantages = advantages[:, :, None]  # (G, N, 1)
    low, high, mask = options.clip_low, options.clip_high, groups.mask

    before = groups.rollout if groups.before is None else groups.before
    old = groups.rollout if options.importance_cap is None else before
    ratio = policy_ratio(groups.policy, old, mask)  # (G, N, R)
    surrogate = clipped_surrogate(ratio, advantages, low, high)
    metrics = clip_metrics(ratio, advantages, mask, low, high)
    if options.importance_cap is not None:
        sampler = groups.rollout if groups.sampler is None else groups.sampler
        weights = policy_ratio(before, sampler, mask).clamp_max(options.importance_cap)
        surrogate = surrogate * weights
        metrics["importance_weight"] = response_token_mean(weights, mask).mean(dim=1)

    token_losses = options.kl_coefficient * token_kl(groups) - surrogate
    return GroupLosses(losses=response_token_mean(token_losses, mask).mean(dim=1), metrics=metrics)

"""DAPO: GRPO with a mean over tokens, a higher upper clip, and care for overlong responses (arXiv 2503.14476).

For one prompt and N responses o_1 … o_N sampled from π_old, T the longest that may be sampled and C a part of it:

    r'_i   = r_i + penalty · min(0, (T − C − |o_i|) / C)              soft overlong punishment (equation 13)
    A_i    = (r'_i − mean r') / std r'
    q_i,t  = π_θ(o_i,t) / π_old(o_i,t)
    L      = −1/Σ_i|o_i| Σ_i Σ_t min[q_i,t A_i, clip(q_i,t, 1 − low, 1 + high) A_i]                     (equation 8)

With `overlong_filter` the tokens of responses that were cut off enter neither sum; their rewards stay in mean and std.
Dynamic sampling, the paper's condition that a group has right and wrong responses, is `zero_variance: refill`, and asks
for the rewards r, without the punishment. There is no KL term.

The mean over tokens is that of a group, as the paper writes it below its expectation over prompts; so a prompt weighs
the same however long its responses are. TRL and verl take it over the whole batch, where a group weighs Σ_i|o_i|: with
one group, or groups of as many tokens, it is the same.
"""

from torch import Tensor

from gift.algorithms.objective import GroupLosses, ScoredGroups, normalise
from gift.algorithms.policy_ratio import clip_metrics, clipped_surrogate, group_token_mean, policy_ratio
from gift.config import DapoConfig


def dapo_loss(groups: ScoredGroups, options: DapoConfig, longest: int) -> GroupLosses:
    """DAPO's loss of each group, (G,); std r' has the divisor N − 1.

    Metrics, (G,): those of `clip_metrics`, over tokens that enter the loss, and the mean punishment of the group's
    responses, `overlong_punishment`, in units of the reward.

    Args:
        longest: T, in tokens.
    """
    lengths = groups.mask.sum(dim=2).to(groups.rewards.dtype)  # (G, N)
    punishment = options.overlong_penalty * _overlong(lengths, longest, options.overlong_share)  # (G, N)
    advantages = normalise(groups.rewards + punishment, correction=1)[:, :, None]  # (G, N, 1)
    mask = groups.mask
    if options.overlong_filter and groups.truncated is not None:
        mask = mask & ~groups.truncated[:, :, None]
    ratio = policy_ratio(groups.policy, groups.rollout, mask)  # (G, N, R)
    surrogate = clipped_surrogate(ratio, advantages, options.clip_low, options.clip_high)
    return GroupLosses(
        losses=-group_token_mean(surrogate, mask),
        metrics=clip_metrics(ratio, advantages, mask, options.clip_low, options.clip_high)
        | {"overlong_punishment": punishment.mean(dim=1)},
    )


def _overlong(lengths: Tensor, longest: int, share: float) -> Tensor:
    """(G, N) from −1 to 0: falls linearly over the last `share` of the `longest` tokens that a response may have."""
    cache = share * longest
    return ((longest - cache - lengths) / cache).clamp(-1.0, 0.0)

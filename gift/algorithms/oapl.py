"""OAPL: regress log π_θ/π_old on the optimal advantage, however old π_old is (arXiv 2602.19362, equations 2 and 3).

For one prompt and N responses y_1 … y_N sampled from π_old:

    V      = β_V log mean_i exp(r_i / β_V)                      the optimal value, estimated by the group
    L      = mean_i [β Σ_t log π_θ(y_i,t)/π_old(y_i,t) − (r_i − V)]²

With β = β_V the only minimum is the policy that maximises E[r] − β KL(π ‖ π_old), from which the loss follows as UNA's
and GVPO's do: there V = β log Z(x), and the optimal advantage is what remains of the reward. It holds for responses of
any policy, so that there is no ratio to clip. V lies between the mean of the rewards (β_V → ∞) and their maximum
(β_V → 0); A*-PO (arXiv 2505.20686) estimates it once, from the reference policy.

Left out: log-probabilities of the sampling engine, which the paper's π_old is; here both come from the trainer.
"""

import torch

from gift.algorithms.objective import GroupLosses, ScoredGroups, implicit_rewards
from gift.config import OaplConfig


def oapl_loss(groups: ScoredGroups, options: OaplConfig) -> GroupLosses:
    """OAPL's loss of each group, (G,), in squared units of the reward. Metrics, (G,): V, as `oapl/value`."""
    largest = groups.rewards.amax(dim=1, keepdim=True)  # (G, 1); relative to it nothing overflows
    spread = torch.expm1((groups.rewards - largest) / options.value_beta).mean(dim=1, keepdim=True)
    value = largest + options.value_beta * torch.log1p(spread)  # V, (G, 1)
    implicit = options.beta * implicit_rewards(groups.policy, groups.rollout, groups.mask)  # (G, N)
    return GroupLosses(
        losses=(implicit - (groups.rewards - value)).square().mean(dim=1),
        metrics={"oapl/value": value.squeeze(1)},
    )

"""Dr. GRPO: the sum of all tokens over a constant, and neither length nor difficulty in the weights."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from scored import from_implicit, gradient, random_groups

from gift.algorithms.dr_grpo import dr_grpo_loss
from gift.config import DrGrpoConfig


def test_the_loss_of_two_responses_by_hand() -> None:
    # Rewards 1 and 0: A = ±0.5. Ratios 1.1 and 0.5; the second is clipped at 0.8. T = 10.
    log_ratio, rewards = torch.tensor([[math.log(1.1), math.log(0.5)]]), torch.tensor([[1.0, 0.0]])
    expected = -(1.1 * 0.5 - 0.8 * 0.5) / 2 / 10
    found = dr_grpo_loss(from_implicit(log_ratio, rewards), DrGrpoConfig(), longest=10)
    assert found.losses.item() == pytest.approx(expected)


def test_on_policy_a_token_weighs_its_responses_centred_reward_whatever_the_length() -> None:
    groups = random_groups(size=4)
    groups = replace(groups, policy=groups.rollout)
    found = gradient(partial(dr_grpo_loss, options=DrGrpoConfig(), longest=6), groups)
    centred = (groups.rewards - groups.rewards.mean(dim=1, keepdim=True))[:, :, None]
    torch.testing.assert_close(found, torch.where(groups.mask, -centred / (4 * 6), 0.0))


def test_equal_rewards_leave_only_the_kl_term() -> None:
    groups = replace(random_groups(), rewards=torch.full((3, 5), 0.7, dtype=torch.float64))
    without = partial(dr_grpo_loss, options=DrGrpoConfig(), longest=6)
    assert gradient(without, groups).abs().max() < 1e-16
    log_ratio = groups.reference - groups.policy
    k3 = ((log_ratio.exp() - log_ratio - 1) * groups.mask).sum(dim=2) / 6
    with_kl = dr_grpo_loss(groups, DrGrpoConfig(kl_coefficient=2.0), longest=6).losses
    torch.testing.assert_close(with_kl, 2 * k3.mean(dim=1))

"""CISPO: weights that are cut, and gradients that never are."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from scored import from_implicit, gradient, implicit_gradient, random_groups

from gift.algorithms.cispo import cispo_loss
from gift.config import CispoConfig

OPTIONS = CispoConfig(weight_max=2.0)


def test_the_loss_and_gradient_of_two_responses_by_hand() -> None:
    # A = ±√0.5; log π_old is −1, so that log π is −1 + log q. Weights 2 (cut from 3) and 0.5; the mean is over 2.
    log_ratio = torch.tensor([[math.log(3.0), math.log(0.5)]], dtype=torch.float64)
    rewards = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    advantage = math.sqrt(0.5)
    expected = -(2 * advantage * (math.log(3.0) - 1) - 0.5 * advantage * (math.log(0.5) - 1)) / 2
    outcome = cispo_loss(from_implicit(log_ratio, rewards), OPTIONS)
    assert outcome.losses.item() == pytest.approx(expected)
    assert outcome.metrics["cispo_clip_ratio"].item() == 0.5
    slopes = torch.tensor([[-2 * advantage / 2, 0.5 * advantage / 2]], dtype=torch.float64)
    torch.testing.assert_close(implicit_gradient(partial(cispo_loss, options=OPTIONS), log_ratio, rewards), slopes)


@pytest.mark.parametrize("reward", [0.0, 1.0])
@pytest.mark.parametrize("ratio", [0.01, 100.0])
def test_no_token_is_silenced(ratio: float, reward: float) -> None:
    log_ratio = torch.tensor([[math.log(ratio), 0.0]], dtype=torch.float64)
    rewards = torch.tensor([[reward, 1 - reward]], dtype=torch.float64)
    found = implicit_gradient(partial(cispo_loss, options=OPTIONS), log_ratio, rewards)[0, 0].item()
    assert found == pytest.approx((1 - 2 * reward) * math.sqrt(0.5) * min(ratio, 2.0) / 2)


def test_on_policy_every_token_of_a_group_weighs_the_same() -> None:
    groups = random_groups(size=4)
    groups = replace(groups, policy=groups.rollout)
    found = gradient(partial(cispo_loss, options=OPTIONS), groups)
    centred = groups.rewards - groups.rewards.mean(dim=1, keepdim=True)
    advantages = (centred / groups.rewards.std(dim=1, keepdim=True))[:, :, None]
    tokens = groups.mask.sum(dim=(1, 2))[:, None, None]
    torch.testing.assert_close(found, torch.where(groups.mask, -advantages / tokens, 0.0))

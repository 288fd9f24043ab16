"""GSPO: one ratio per response, its clip, and the policy gradient that it starts from."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from scored import gradient, random_groups

from gift.algorithms.grpo import grpo_loss
from gift.algorithms.gspo import gspo_loss
from gift.config import GrpoConfig, GspoConfig

WIDE = GspoConfig(clip_low=0.2, clip_high=0.2)


def _two_responses(log_ratios: list[list[float]], rewards: tuple[float, float]):
    """Of two tokens each."""
    groups = random_groups(groups=1, size=2, tokens=2)
    rollout, mask = torch.full((1, 2, 2), -1.0, dtype=torch.float64), torch.ones(1, 2, 2, dtype=torch.bool)
    return replace(
        groups,
        policy=rollout + torch.tensor([log_ratios], dtype=torch.float64),
        reference=rollout,
        rollout=rollout,
        mask=mask,
        rewards=torch.tensor([rewards], dtype=torch.float64),
    )


def test_the_loss_of_two_responses_by_hand() -> None:
    # s = √(q_1 q_2): √(1.21 · 1.44) = 1.32, clipped at 1.2, and √(0.81 · 1) = 0.9. A = ±√0.5.
    groups = _two_responses([[math.log(1.21), math.log(1.44)], [math.log(0.81), 0.0]], (1.0, 0.0))
    expected = -(1.2 * math.sqrt(0.5) - 0.9 * math.sqrt(0.5)) / 2
    assert gspo_loss(groups, WIDE).losses.item() == pytest.approx(expected)


def test_a_response_is_clipped_as_a_whole() -> None:
    # One token has gone far and the other back: GRPO clips the first alone, GSPO neither.
    groups = _two_responses([[math.log(1.5), math.log(0.7)], [0.0, 0.0]], (1.0, 0.0))
    assert (gradient(partial(gspo_loss, options=WIDE), groups)[0, 0] != 0).tolist() == [True, True]
    options = GrpoConfig(kl_coefficient=0.0)
    assert (gradient(partial(grpo_loss, options=options), groups)[0, 0] != 0).tolist() == [False, True]
    far = _two_responses([[math.log(1.5), 0.0], [0.0, 0.0]], (1.0, 0.0))
    assert (gradient(partial(gspo_loss, options=WIDE), far)[0, 0] != 0).tolist() == [False, False]
    assert gspo_loss(far, WIDE).metrics["clip_ratio/high_mean"].item() == 0.5


def test_on_policy_it_is_grpo() -> None:
    groups = random_groups()
    groups = replace(groups, policy=groups.rollout)
    found = gradient(partial(gspo_loss, options=GspoConfig()), groups)
    torch.testing.assert_close(found, gradient(partial(grpo_loss, options=GrpoConfig(kl_coefficient=0.0)), groups))


def test_all_tokens_of_a_response_weigh_the_same() -> None:
    found = gradient(partial(gspo_loss, options=GspoConfig(clip_low=0.9, clip_high=9.0)), random_groups())
    largest = torch.where(random_groups().mask, found, -torch.inf).amax(dim=2)
    smallest = torch.where(random_groups().mask, found, torch.inf).amin(dim=2)
    torch.testing.assert_close(largest, smallest)


def test_a_response_without_tokens_counts_as_0() -> None:
    groups = random_groups(groups=1, size=2)
    mask = groups.mask.clone()
    mask[0, 0] = False
    found = gspo_loss(replace(groups, mask=mask), WIDE)
    advantage = math.sqrt(0.5) * (1 if groups.rewards[0, 1] > groups.rewards[0, 0] else -1)
    log_ratio = ((groups.policy - groups.rollout)[0, 1] * mask[0, 1]).sum() / mask[0, 1].sum()
    ratio = log_ratio.exp().item()
    expected = -min(ratio * advantage, min(max(ratio, 0.8), 1.2) * advantage) / 2
    assert found.losses.item() == pytest.approx(expected)

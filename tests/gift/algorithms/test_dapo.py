"""DAPO: its published formulas on numbers, the mean over tokens, and what becomes of overlong responses."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from scored import from_implicit, gradient, implicit_gradient, random_groups

from gift.algorithms.dapo import dapo_loss
from gift.config import DapoConfig

NO_CARE = DapoConfig(overlong_filter=False, overlong_penalty=0.0)


def test_the_loss_of_two_responses_by_hand() -> None:
    # Rewards 1 and 0: A = ±√0.5. The first has 1 token of ratio 1.5, which is clipped at 1.28, the second 3 of ratio 1.
    groups = from_implicit(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
    wide = {name: getattr(groups, name).repeat(1, 1, 3) for name in ("policy", "reference", "rollout", "mask")}
    wide["policy"][0, 0, 0] += math.log(1.5)
    wide["mask"][0, 0, 1:] = False
    expected = -(1.28 * math.sqrt(0.5) - 3 * math.sqrt(0.5)) / 4
    assert dapo_loss(replace(groups, **wide), NO_CARE, longest=100).losses.item() == pytest.approx(expected)


def test_on_policy_every_token_of_a_group_weighs_the_same() -> None:
    groups = random_groups(size=4)
    groups = replace(groups, policy=groups.rollout)
    found = gradient(partial(dapo_loss, options=NO_CARE, longest=6), groups)
    advantages = groups.rewards - groups.rewards.mean(dim=1, keepdim=True)
    advantages = (advantages / groups.rewards.std(dim=1, keepdim=True))[:, :, None]
    tokens = groups.mask.sum(dim=(1, 2))[:, None, None]
    torch.testing.assert_close(found, torch.where(groups.mask, -advantages / tokens, 0.0))


@pytest.mark.parametrize(("ratio", "flows"), [(1.27, True), (1.29, False)])
def test_the_upper_clip_is_higher_than_ppos(ratio: float, flows: bool) -> None:
    rewards = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    found = implicit_gradient(
        partial(dapo_loss, options=NO_CARE, longest=6), torch.tensor([[math.log(ratio), 0.0]]).double(), rewards
    )
    assert (found[0, 0] != 0) == flows


@pytest.mark.parametrize(
    ("length", "punishment"), [(1, 0.0), (8, 0.0), (9, -0.5), (10, -1.0)], ids=["short", "at", "half", "longest"]
)
def test_the_punishment_grows_over_the_last_part_of_the_length(length: int, punishment: float) -> None:
    """Equation 13 with T = 10 and C = 2: the reward of the first response is worth as much as one less by that."""
    mask = (torch.arange(10) < torch.tensor([length, 1])[:, None])[None]
    groups = from_implicit(torch.zeros(1, 2), torch.tensor([[0.9, 0.3]]))
    zeros = torch.zeros(mask.shape)
    groups = replace(groups, policy=zeros, reference=zeros, rollout=zeros, mask=mask)
    options = DapoConfig(overlong_filter=False, overlong_penalty=1.0, overlong_share=0.2)
    outcome = dapo_loss(groups, options, longest=10)
    assert outcome.metrics["overlong_punishment"].item() == pytest.approx(punishment / 2, abs=1e-6)
    plain = replace(groups, rewards=torch.tensor([[0.9 + punishment, 0.3]]))
    torch.testing.assert_close(outcome.losses, dapo_loss(plain, NO_CARE, longest=10).losses)


def test_a_response_that_was_cut_off_is_filtered_from_the_loss_but_not_from_the_statistics() -> None:
    groups = random_groups(groups=1, size=4)
    truncated = torch.tensor([[True, False, False, False]])
    filtered = partial(dapo_loss, options=DapoConfig(overlong_penalty=0.0), longest=6)
    kept = partial(dapo_loss, options=NO_CARE, longest=6)
    found = gradient(filtered, replace(groups, truncated=truncated))
    whole = gradient(kept, replace(groups, truncated=truncated))
    assert found[0, 0].abs().max() == 0
    lengths = groups.mask.sum(dim=(1, 2))
    share = (lengths - groups.mask[0, 0].sum()) / lengths
    torch.testing.assert_close(found[0, 1:] * share, whole[0, 1:])
    assert torch.equal(gradient(filtered, replace(groups, truncated=None)), whole)


def test_a_group_that_was_cut_off_as_a_whole_has_no_loss_and_no_gradient() -> None:
    groups = replace(random_groups(groups=1), truncated=torch.ones(1, 5, dtype=torch.bool))
    objective = partial(dapo_loss, options=DapoConfig(), longest=6)
    assert objective(groups).losses.item() == 0
    assert gradient(objective, groups).abs().max() == 0

"""OAPL: its published formula on numbers, its minimum, and the value between mean and maximum."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scored import from_implicit, implicit_gradient

from gift.algorithms.gvpo import gvpo_loss
from gift.algorithms.oapl import oapl_loss
from gift.config import GvpoConfig, OaplConfig

IMPLICIT = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
REWARDS = torch.tensor([[1.0, 0.0]], dtype=torch.float64)


def test_the_loss_and_gradient_of_two_responses_by_hand() -> None:
    # V = log((e + 1)/2) = 0.6201145069582775; optimal advantages 1 − V and −V; β s = 0.5 and −1.
    options, value = OaplConfig(beta=0.5), 0.6201145069582775
    residuals = [0.5 - (1 - value), -1 + value]
    outcome = oapl_loss(from_implicit(IMPLICIT, REWARDS), options)
    assert outcome.metrics["oapl/value"].item() == pytest.approx(value)
    assert outcome.losses.item() == pytest.approx((residuals[0] ** 2 + residuals[1] ** 2) / 2)
    found = implicit_gradient(partial(oapl_loss, options=options), IMPLICIT, REWARDS)
    torch.testing.assert_close(found, torch.tensor([[0.5 * residual for residual in residuals]], dtype=torch.float64))


@settings(deadline=None)
@given(beta=st.floats(0.05, 10))
def test_the_minimum_is_the_policy_that_the_kl_term_allows(beta: float) -> None:
    """All responses there are, equally likely under π_old: π* ∝ exp(r/β), whose log-ratio is (r − V)/β."""
    rewards = torch.tensor([[0.0, 0.3, 1.0]], dtype=torch.float64)
    optimum = (rewards / beta).log_softmax(dim=1) + math.log(3)
    options = OaplConfig(beta=beta, value_beta=beta)
    assert oapl_loss(from_implicit(optimum, rewards), options).losses.item() < 1e-20
    assert oapl_loss(from_implicit(optimum + 0.5, rewards), options).losses.item() > 1e-4


@pytest.mark.parametrize(("value_beta", "value"), [(1e6, 0.25), (1e-4, 1.0)])
def test_the_value_lies_between_the_mean_of_the_rewards_and_their_maximum(value_beta: float, value: float) -> None:
    rewards = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    outcome = oapl_loss(from_implicit(torch.zeros(1, 4), rewards), OaplConfig(value_beta=value_beta))
    assert outcome.metrics["oapl/value"].item() == pytest.approx(value, abs=1e-3)
    assert torch.isfinite(outcome.losses).all()


def test_with_the_mean_as_value_it_is_gvpo_but_for_the_mean_of_the_implicit_rewards() -> None:
    centred = IMPLICIT - IMPLICIT.mean()
    ours = oapl_loss(from_implicit(centred, REWARDS), OaplConfig(beta=0.5, value_beta=1e9)).losses
    theirs = gvpo_loss(from_implicit(centred, REWARDS), GvpoConfig(beta=0.5, reference="rollout")).losses
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_equal_rewards_pull_to_the_policy_that_sampled() -> None:
    found = implicit_gradient(partial(oapl_loss, options=OaplConfig(beta=1.0)), IMPLICIT, torch.ones_like(IMPLICIT))
    torch.testing.assert_close(found, IMPLICIT)

"""GIFT: closed forms of loss and gradient, what cancels, what each option does, and the metrics."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from gift_forms import AUTHOR, FLOORED, FORMS, LITERAL, PURE, gradient_of, losses_of, random_rewards
from hypothesis import given, settings
from hypothesis import strategies as st
from scored import from_implicit, gradient, random_groups
from torch import Tensor

from gift.algorithms.gift import gift_loss
from gift.algorithms.objective import normalise
from gift.config import GiftConfig

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(2, 16)


def _pearson(implicit: Tensor, rewards: Tensor) -> Tensor:
    pairs = zip(implicit, rewards, strict=True)
    return torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in pairs])


# Closed forms


@pytest.mark.parametrize("statistics", ["detached", "attached"])
@pytest.mark.parametrize("std", ["biased", "unbiased"])
@settings(deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_the_loss_is_twice_one_minus_the_correlation_times_the_share_of_the_divisor(
    statistics, std, seed, size
) -> None:
    implicit, rewards = random_rewards(seed, size)
    correction = 1 if std == "unbiased" else 0
    expected = 2 * (1 - _pearson(implicit, rewards)) * (size - correction) / size
    options = GiftConfig(statistics=statistics, std=std, **PURE)
    torch.testing.assert_close(losses_of(implicit, rewards, options), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("std", ["biased", "unbiased"])
@settings(deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_the_attached_gradient_is_the_advantage_less_its_part_along_the_implicit_reward(std, seed, size) -> None:
    implicit, rewards = random_rewards(seed, size)
    correction = 1 if std == "unbiased" else 0
    found = gradient_of(implicit, rewards, GiftConfig(statistics="attached", std=std, **PURE))
    a, b = normalise(rewards, correction), normalise(implicit, correction)
    sigma = implicit.std(dim=1, correction=correction, keepdim=True)
    expected = -2 / (size * sigma) * (a - _pearson(implicit, rewards)[:, None] * b)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close((found * b).sum(dim=1), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-7)


@settings(deadline=None)
@given(seed=SEEDS, size=SIZES, scale=st.floats(0.01, 100))
def test_the_detached_gradient_is_the_residual_and_never_widens_the_implicit_reward(seed, size, scale) -> None:
    implicit, rewards = random_rewards(seed, size)
    implicit = scale * implicit
    found = gradient_of(implicit, rewards, GiftConfig(**PURE))
    a, b = normalise(rewards, 0), normalise(implicit, 0)
    sigma = implicit.std(dim=1, correction=0, keepdim=True)
    torch.testing.assert_close(found, -2 / (size * sigma) * (a - b), rtol=1e-7, atol=1e-9)
    assert ((found * b).sum(dim=1) >= -1e-9).all()


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_gradients_of_a_group_sum_to_zero(options: GiftConfig) -> None:
    implicit, rewards = random_rewards(0)
    found = gradient_of(implicit, rewards, options)
    torch.testing.assert_close(found.sum(dim=1), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-9)


@pytest.mark.parametrize("std", ["biased", "unbiased"])
def test_biased_and_unbiased_statistics_are_never_mixed(std) -> None:
    _, rewards = random_rewards(0)
    perfect = 7 * rewards - 3
    losses = losses_of(perfect, rewards, GiftConfig(std=std, **PURE))
    torch.testing.assert_close(losses, torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-12)


# What cancels


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
@settings(deadline=None)
@given(log_z=st.lists(st.floats(-100, 100), min_size=4, max_size=4), seed=SEEDS)
def test_the_partition_function_of_a_prompt_cancels(options: GiftConfig, log_z: list[float], seed: int) -> None:
    implicit, rewards = random_rewards(seed)
    shifted = implicit + torch.tensor(log_z, dtype=torch.float64)[:, None]
    for function in (losses_of, gradient_of):
        torch.testing.assert_close(
            function(shifted, rewards, options), function(implicit, rewards, options), rtol=1e-8, atol=1e-8
        )


@pytest.mark.parametrize("statistics", ["detached", "attached"])
@settings(deadline=None)
@given(beta=st.floats(1e-3, 1e3), seed=SEEDS)
def test_beta_cancels_above_the_floor(statistics, beta: float, seed: int) -> None:
    implicit, rewards = random_rewards(seed)
    options = GiftConfig(statistics=statistics, **PURE)
    losses = [losses_of(factor * implicit, rewards, options) for factor in (1.0, beta)]
    torch.testing.assert_close(losses[0], losses[1], rtol=0, atol=1e-9)
    gradients = [factor * gradient_of(factor * implicit, rewards, options) for factor in (1.0, beta)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-7, atol=1e-7)


def test_beta_does_not_cancel_below_the_floor() -> None:
    implicit, rewards = random_rewards(0)
    assert not torch.allclose(losses_of(0.5 * implicit, rewards, FLOORED), losses_of(implicit, rewards, FLOORED))


# Options


def test_the_reference_decides_what_the_policy_is_compared_with() -> None:
    groups = random_groups()
    for name, other in (("sft", "rollout"), ("rollout", "reference")):
        options = GiftConfig(reference=name)
        changed = replace(groups, **{other: torch.where(groups.mask, -9.0, 0.0)})
        assert torch.equal(gift_loss(changed, options).losses, gift_loss(groups, options).losses)
    forms = [GiftConfig(reference=name) for name in ("sft", "rollout")]
    assert not torch.allclose(*(gift_loss(groups, options).losses for options in forms))


def test_a_mean_over_tokens_weighs_a_long_response_less() -> None:
    groups = random_groups(tokens=6)
    whole, average = (
        gradient(
            partial(gift_loss, options=GiftConfig(reduction=x, std_floor=99.0)),
            replace(groups, policy=groups.reference),
        )
        for x in ("sum", "mean")
    )
    lengths = groups.mask.sum(dim=2, keepdim=True)
    assert lengths.unique().numel() > 2
    torch.testing.assert_close(average, whole / lengths)


def test_epsilon_adds_to_the_denominator_after_the_floor() -> None:
    implicit, rewards = random_rewards(0)
    one, two = GiftConfig(std_floor=10.0, std_epsilon=2.0), GiftConfig(std_floor=12.0)
    torch.testing.assert_close(losses_of(implicit, rewards, one), losses_of(implicit, rewards, two))


def test_a_scale_is_another_objective_with_detached_and_a_learning_rate_with_attached_statistics() -> None:
    implicit, rewards = random_rewards(0)
    for statistics, parallel in (("detached", False), ("attached", True)):
        one, two = (
            gradient_of(implicit, rewards, GiftConfig(statistics=statistics, scale=scale, **PURE))
            for scale in (1.0, 2.0)
        )
        assert torch.allclose(two, 2 * one, rtol=1e-9, atol=1e-9) == parallel
    perfect = losses_of(rewards, rewards, GiftConfig(scale=2.0, **PURE))
    torch.testing.assert_close(perfect, torch.ones(4, dtype=torch.float64))  # (1 − scale)²


def test_with_detached_statistics_a_scale_below_the_correlation_widens_the_implicit_reward() -> None:
    noise, rewards = random_rewards(0)
    implicit = rewards + 0.3 * noise
    correlation, centred = _pearson(implicit, rewards), normalise(implicit, 0)
    for scale in (0.5, 1.0):
        along = (gradient_of(implicit, rewards, GiftConfig(scale=scale, **PURE)) * centred).sum(dim=1)
        sigma = implicit.std(dim=1, correction=0)
        torch.testing.assert_close(along, -2 * scale / sigma * (correlation - scale))
    assert correlation.min() > 0.5


def test_the_named_forms_are_those_of_the_paper_and_of_its_author() -> None:
    groups = random_groups()

    def by_hand(base: Tensor, correction: int) -> Tensor:
        s = ((groups.policy - base) * groups.mask).sum(dim=2)
        b = (s - s.mean(1, keepdim=True)) / (s.std(1, correction=correction, keepdim=True) + 1e-6)
        return (normalise(groups.rewards, correction) - b).square().mean(dim=1)

    torch.testing.assert_close(gift_loss(groups, LITERAL).losses, by_hand(groups.reference, 0))
    torch.testing.assert_close(gift_loss(groups, AUTHOR).losses, by_hand(groups.rollout, 1))


def test_the_authors_form_has_the_numbers_of_the_published_fork() -> None:
    """Its arithmetic of one group, step by step: torch.std (divisor N − 1), 1e-6 beside it, statistics detached.

    A = (r − 0.5)/√(1/3); s has mean 0.2 and std √(0.38/3). The fork adds 1e-6 to the std of the rewards, too.
    """
    implicit = torch.tensor([[0.6, -0.1, 0.4, -0.1]], dtype=torch.float64)
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    normalised = [0.8660254, -0.8660254, -0.8660254, 0.8660254]
    matched = [1.1239030, -0.8429272, 0.5619515, -0.8429272]
    expected = sum((a - b) ** 2 for a, b in zip(normalised, matched, strict=True)) / 4
    groups = replace(from_implicit(implicit, rewards), reference=torch.full((1, 4, 1), -7.0, dtype=torch.float64))
    assert gift_loss(groups, AUTHOR).losses.item() == pytest.approx(expected, abs=1e-5)
    slopes = [-2 / 4 * (a - b) / (0.3559026 + 1e-6) for a, b in zip(normalised, matched, strict=True)]
    found = gradient(partial(gift_loss, options=AUTHOR), groups).flatten().tolist()
    assert found == pytest.approx(slopes, abs=2e-5)


# Metrics


@pytest.mark.parametrize("std", ["biased", "unbiased"])
def test_metrics_are_correlation_spread_and_floor(std) -> None:
    implicit, rewards = random_rewards(0)
    implicit[0] *= 0.01
    metrics = gift_loss(from_implicit(implicit, rewards), GiftConfig(std=std, std_floor=0.1)).metrics
    assert set(metrics) == {"gift/correlation", "gift/implicit_reward_std", "gift/frac_at_floor"}
    torch.testing.assert_close(metrics["gift/correlation"], _pearson(implicit, rewards))
    expected = implicit.std(dim=1, correction=1 if std == "unbiased" else 0)
    torch.testing.assert_close(metrics["gift/implicit_reward_std"], expected)
    assert metrics["gift/frac_at_floor"].tolist() == [1, 0, 0, 0]


def test_the_correlation_of_a_constant_is_0() -> None:
    implicit, rewards = random_rewards(0)
    implicit[0], rewards[1] = 0.7, 0.7
    correlation = gift_loss(from_implicit(implicit, rewards), GiftConfig()).metrics["gift/correlation"]
    assert correlation[:2].tolist() == [0, 0]
    assert correlation[2:].abs().min() > 0


@pytest.mark.parametrize("std", ["biased", "unbiased"])
def test_beta_is_the_ratio_of_both_standard_deviations_where_there_are_two(std) -> None:
    # Rewards of std 2 (or 2√(4/3)) and implicit rewards of a quarter of that, whatever the floor.
    rewards = torch.tensor([[2.0, -2.0, 2.0, -2.0]]).repeat(3, 1)
    implicit = torch.tensor([[0.5, 0.5, -0.5, -0.5]]).repeat(3, 1)
    implicit[1], rewards[2] = 0.7, 0.7
    found = gift_loss(from_implicit(implicit, rewards), GiftConfig(std=std)).spreads["gift/beta"]
    assert found[0].item() == pytest.approx(4.0)
    assert found[1:].isnan().all()

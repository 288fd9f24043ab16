"""The GIFT objective against its closed form, its invariances, finite differences and a naive version."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gift.algorithms.gift import active_groups, gift_terms

FLOOR = 3.0


def _random(groups: int = 5, size: int = 8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    implicit = torch.randn(groups, size, generator=generator, dtype=torch.float64)
    rewards = torch.randn(groups, size, generator=generator, dtype=torch.float64)
    return implicit, rewards


def test_without_a_floor_in_reach_the_loss_is_twice_one_minus_the_correlation() -> None:
    implicit, rewards = _random()
    terms = gift_terms(implicit, rewards, std_floor=1e-12)
    expected = torch.stack([torch.corrcoef(torch.stack([s, r]))[0, 1] for s, r in zip(implicit, rewards, strict=True)])
    torch.testing.assert_close(terms.correlation, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(terms.squared_error.mean(dim=1), 2 * (1 - expected), rtol=0, atol=1e-12)


def test_the_partition_function_of_a_prompt_cancels() -> None:
    implicit, rewards = _random()
    log_z = torch.linspace(-50, 50, len(implicit), dtype=torch.float64)[:, None]
    torch.testing.assert_close(
        gift_terms(implicit + log_z, rewards, FLOOR).squared_error,
        gift_terms(implicit, rewards, FLOOR).squared_error,
        rtol=0,
        atol=1e-11,
    )


def test_beta_cancels_while_the_std_is_above_the_floor() -> None:
    implicit, rewards = _random()
    one, thousand = (gift_terms(beta * implicit, rewards, 1e-9).squared_error for beta in (1.0, 1000.0))
    torch.testing.assert_close(one, thousand, rtol=0, atol=1e-11)


def test_scale_and_offset_of_the_rewards_cancel() -> None:
    implicit, rewards = _random()
    torch.testing.assert_close(
        gift_terms(implicit, 7 * rewards + 3, FLOOR).squared_error,
        gift_terms(implicit, rewards, FLOOR).squared_error,
        rtol=0,
        atol=1e-11,
    )


def test_at_the_reference_the_gradient_is_finite_and_points_along_the_advantage() -> None:
    _, rewards = _random()
    implicit = torch.zeros_like(rewards, requires_grad=True)
    gift_terms(implicit, rewards, FLOOR).squared_error.sum().backward()
    advantage = (rewards - rewards.mean(1, keepdim=True)) / rewards.std(1, correction=0, keepdim=True)
    assert implicit.grad is not None
    torch.testing.assert_close(implicit.grad, -2 * advantage / FLOOR)


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_the_gradient_equals_finite_differences_with_the_statistics_held_fixed(scale: float) -> None:
    implicit, rewards = _random(groups=2, size=4)
    implicit = (implicit * scale).requires_grad_()
    gift_terms(implicit, rewards, FLOOR).squared_error.sum().backward()

    mean = implicit.detach().mean(1, keepdim=True)
    denominator = implicit.detach().std(1, correction=0, keepdim=True).clamp_min(FLOOR)
    advantage = (rewards - rewards.mean(1, keepdim=True)) / rewards.std(1, correction=0, keepdim=True)

    def loss(values: torch.Tensor) -> torch.Tensor:
        return (advantage - (values - mean) / denominator).square().sum()

    step = 1e-6
    for position in [(0, 0), (0, 3), (1, 2)]:
        offset = torch.zeros_like(rewards)
        offset[position] = step
        slope = (loss(implicit.detach() + offset) - loss(implicit.detach() - offset)) / (2 * step)
        assert implicit.grad is not None
        assert math.isclose(implicit.grad[position].item(), slope.item(), rel_tol=1e-6, abs_tol=1e-8)


def test_a_group_of_equal_rewards_carries_no_signal() -> None:
    implicit = torch.randn(2, 10, requires_grad=True)
    rewards = torch.stack([torch.ones(10), torch.tensor([0.0, 1.0] * 5)])
    terms = gift_terms(implicit, rewards, FLOOR)
    terms.squared_error.sum().backward()
    assert terms.active.tolist() == [False, True] == active_groups(rewards).tolist()
    assert implicit.grad is not None
    assert implicit.grad[0].abs().max() == 0
    assert terms.squared_error[0].abs().max() == 0


def test_a_rounding_error_in_the_std_of_equal_rewards_is_no_difference() -> None:
    rewards = torch.full((1, 10), 0.7)
    assert rewards.std(dim=1, correction=0) > 0
    terms = gift_terms(torch.randn(1, 10), rewards, FLOOR)
    assert terms.active.tolist() == [False]
    assert terms.correlation.tolist() == [0]
    assert terms.squared_error.abs().max() == 0


@given(
    rewards=st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=2),
    implicit=st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=2),
)
def test_two_responses_always_give_a_finite_loss_and_gradient(rewards: list[float], implicit: list[float]) -> None:
    values = torch.tensor([implicit], dtype=torch.float64, requires_grad=True)
    terms = gift_terms(values, torch.tensor([rewards], dtype=torch.float64), FLOOR)
    terms.squared_error.sum().backward()
    assert values.grad is not None
    assert torch.isfinite(terms.squared_error).all()
    assert torch.isfinite(values.grad).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_no_numbers_are_refused_by_name(bad: float) -> None:
    implicit, rewards = _random(groups=3, size=4)
    implicit[1, 2] = bad
    with pytest.raises(ValueError, match="implicit reward of group 1, response 2"):
        gift_terms(implicit, rewards, FLOOR)


def test_a_group_needs_two_responses() -> None:
    with pytest.raises(ValueError, match="N >= 2"):
        gift_terms(torch.zeros(3, 1), torch.zeros(3, 1), FLOOR)

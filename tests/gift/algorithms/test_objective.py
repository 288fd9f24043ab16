"""What all objectives share: refusals, implicit rewards, normalisation, and the choice of one by the configuration."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scored import from_implicit, implicit_gradient, random_groups

from gift.algorithms import ScoredGroups, load_objective
from gift.algorithms.cispo import cispo_loss
from gift.algorithms.dapo import dapo_loss
from gift.algorithms.dpo import dpo_loss
from gift.algorithms.dr_grpo import dr_grpo_loss
from gift.algorithms.gift import gift_loss
from gift.algorithms.grpo import grpo_loss
from gift.algorithms.gspo import gspo_loss
from gift.algorithms.gvpo import gvpo_loss
from gift.algorithms.oapl import oapl_loss
from gift.algorithms.objective import active_groups, implicit_rewards, normalise
from gift.algorithms.una import una_loss
from gift.config import (
    CispoConfig,
    DapoConfig,
    DpoConfig,
    DrGrpoConfig,
    GiftConfig,
    GrpoConfig,
    GspoConfig,
    GvpoConfig,
    OaplConfig,
    UnaConfig,
    load_profile,
)
from gift.errors import GiftError

REWARDS = st.lists(st.floats(-(2.0**126), 2.0**126, width=32), min_size=2, max_size=8)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("field", ["policy", "reference", "rollout", "before", "sampler"])
def test_a_log_probability_that_is_no_number_is_refused_with_its_sequence(field: str, bad: float) -> None:
    groups = random_groups()
    values = getattr(groups, field).clone()
    values[1, 2, 3] = bad
    place = rf"{field} log-probability of problem problem-1, response 2, token 3 is {bad}"
    with pytest.raises(GiftError, match=place):
        replace(groups, **{field: values})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_reward_that_is_no_number_is_refused_with_its_response(bad: float) -> None:
    groups = random_groups()
    rewards = groups.rewards.clone()
    rewards[2, 0] = bad
    with pytest.raises(GiftError, match=f"reward of problem problem-2, response 0 is {bad}"):
        replace(groups, rewards=rewards)


def test_a_group_needs_two_responses() -> None:
    with pytest.raises(ValueError, match="N >= 2"):
        from_implicit(torch.zeros(3, 1), torch.zeros(3, 1))


def test_tensors_that_do_not_fit_each_other_are_refused() -> None:
    groups = random_groups()
    with pytest.raises(ValueError, match="reference"):
        replace(groups, reference=groups.reference[:, :, 1:])


def test_implicit_rewards_are_summed_or_averaged_over_real_tokens_only() -> None:
    policy = torch.tensor([[[-1.0, -2.0, 9.0], [-3.0, 7.0, 8.0]]])
    reference = torch.tensor([[[-2.0, -4.0, 1.0], [-1.0, 2.0, 3.0]]])
    mask = torch.tensor([[[True, True, False], [True, False, False]]])
    assert implicit_rewards(policy, reference, mask, "sum").tolist() == [[3.0, -2.0]]
    assert implicit_rewards(policy, reference, mask, "mean").tolist() == [[1.5, -2.0]]


def test_a_response_without_tokens_has_the_implicit_reward_0() -> None:
    empty = torch.zeros(1, 2, 3)
    assert implicit_rewards(empty, empty, empty.bool(), "mean").tolist() == [[0.0, 0.0]]


def test_a_rounding_error_in_the_std_of_equal_rewards_is_no_difference() -> None:
    rewards = torch.full((1, 10), 0.7)
    assert rewards.std(dim=1, correction=0) > 0
    assert active_groups(rewards).tolist() == [False]
    assert normalise(rewards, 0).tolist() == [[0.0] * 10]


@pytest.mark.parametrize("correction", [0, 1])
@settings(deadline=None)
@given(values=REWARDS)
@example(values=[1e30, -1e30, 0.0])
@example(values=[1e-30, 2e-30, 4e-30])
@example(values=[1e30, 1e-30])
@example(values=[1.0, 1.0 + 2**-23])
def test_normalised_rewards_of_any_size_are_finite_with_mean_0_and_std_1(correction: int, values: list[float]) -> None:
    rewards = torch.tensor([values], dtype=torch.float32)
    result = normalise(rewards, correction)
    assert torch.isfinite(result).all()
    if active_groups(rewards):
        torch.testing.assert_close(result.mean(), torch.tensor(0.0), rtol=0, atol=1e-6)
        torch.testing.assert_close(result.std(correction=correction), torch.tensor(1.0), rtol=1e-5, atol=0)
    else:
        assert result.abs().max() == 0


@settings(deadline=None)
@given(values=st.lists(st.integers(-9, 9), min_size=2, max_size=8), offset=st.integers(-5, 5), factor=st.integers(1, 9))
def test_unit_and_origin_of_the_rewards_cancel(values: list[int], offset: int, factor: int) -> None:
    rewards = torch.tensor([values], dtype=torch.float64)
    torch.testing.assert_close(normalise(factor * rewards + offset, 0), normalise(rewards, 0), rtol=0, atol=1e-12)


EXTREMES = {"huge": [1e30, -1e30, 3e29, 0.0], "tiny": [1e-30, 2e-30, 0.0, 5e-31], "both": [1e30, 1e-30, 0.0, 1.0]}


@pytest.mark.parametrize("rewards", EXTREMES.values(), ids=EXTREMES)
@pytest.mark.parametrize(
    "loss",
    [
        partial(gift_loss, options=GiftConfig()),
        partial(gift_loss, options=GiftConfig(statistics="attached", std="unbiased")),
        partial(grpo_loss, options=GrpoConfig()),
        partial(dpo_loss, options=DpoConfig()),
    ],
)
def test_extreme_rewards_give_a_finite_loss_and_gradient_in_float32(loss, rewards: list[float]) -> None:
    implicit, explicit = torch.tensor([[0.5, -1.0, 2.0, 0.0]]), torch.tensor([rewards])
    assert torch.isfinite(loss(from_implicit(implicit, explicit)).losses).all()
    assert 0 < implicit_gradient(loss, implicit, explicit).abs().max() < 10


@pytest.mark.parametrize(
    ("algorithm", "loss", "options"),
    [
        ("gift", gift_loss, GiftConfig(std_floor=0.5)),
        ("grpo", grpo_loss, GrpoConfig(kl_coefficient=0.3)),
        ("gvpo", gvpo_loss, GvpoConfig(beta=0.7)),
        ("dpo", dpo_loss, DpoConfig(beta=0.7)),
        ("una", una_loss, UnaConfig(beta=0.7)),
        ("dr_grpo", partial(dr_grpo_loss, longest=7), DrGrpoConfig(clip_low=0.1)),
        ("dapo", partial(dapo_loss, longest=7), DapoConfig(clip_low=0.1)),
        ("gspo", gspo_loss, GspoConfig(clip_low=0.1)),
        ("cispo", cispo_loss, CispoConfig(weight_max=1.1)),
        ("oapl", oapl_loss, OaplConfig(beta=0.7)),
    ],
)
def test_the_configuration_names_the_objective_and_its_options(algorithm: str, loss, options) -> None:
    config = load_profile("local", ("rollout.max_new_tokens=7",))
    config = config.model_copy(update={"algorithm": algorithm, algorithm: options})
    groups: ScoredGroups = random_groups()
    assert torch.equal(load_objective(config)(groups).losses, loss(groups, options).losses)


@pytest.mark.parametrize(
    "options",
    [
        *((f"algorithm={name}",) for name in ("grpo", "dr_grpo", "dapo", "gspo", "cispo", "oapl")),
        ("gift.reference=rollout",),
        ("algorithm=gvpo", "gvpo.reference=rollout"),
    ],
)
def test_an_objective_that_compares_with_the_sampling_policy_refuses_groups_sampled_by_another(options) -> None:
    assert load_profile("local", options).group_source == "on-policy"
    with pytest.raises(GiftError, match="must be on-policy"):
        load_profile("local", (*options, "rl.groups=sft-policy"))

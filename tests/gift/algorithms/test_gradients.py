"""Every objective against a second, scalar-by-scalar version of its formula, and against finite differences."""

from dataclasses import fields, replace
from functools import partial

import naive
import pytest
import torch
from scored import gradient, random_groups
from torch import Tensor

from gift.algorithms.cispo import cispo_loss
from gift.algorithms.dapo import dapo_loss
from gift.algorithms.dpo import dpo_loss
from gift.algorithms.dr_grpo import dr_grpo_loss
from gift.algorithms.gift import gift_loss
from gift.algorithms.grpo import grpo_loss
from gift.algorithms.gspo import gspo_loss
from gift.algorithms.gvpo import gvpo_loss
from gift.algorithms.oapl import oapl_loss
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
)

DETACHED = {
    "gift": GiftConfig(),
    "gift-above-the-floor": GiftConfig(std_floor=0.01),
    "gift-rollout": GiftConfig(reference="rollout", std_floor=0.1),
    "gift-mean": GiftConfig(reduction="mean", std_floor=0.05),
    "gift-unbiased-scaled": GiftConfig(std="unbiased", std_floor=0.01, std_epsilon=0.2, scale=0.5),
    "gift-paper-literal": GiftConfig.model_validate("paper-literal"),
    "gift-author": GiftConfig.model_validate("author"),
}
ATTACHED = {
    "gift-attached": GiftConfig(statistics="attached", std_floor=0.01),
    "gift-attached-below-the-floor": GiftConfig(statistics="attached", std_floor=50.0),
    "gift-attached-unbiased": GiftConfig(statistics="attached", std="unbiased", std_floor=0.0, std_epsilon=0.1),
    "gift-attached-scaled-mean": GiftConfig(statistics="attached", scale=2.0, reduction="mean", std_floor=0.01),
}
dr_grpo, dapo = partial(dr_grpo_loss, longest=naive.LONGEST), partial(dapo_loss, longest=naive.LONGEST)
OTHERS = {
    "grpo": (grpo_loss, naive.grpo, GrpoConfig()),
    "grpo-kl": (grpo_loss, naive.grpo, GrpoConfig(kl_coefficient=0.5)),
    "grpo-raw": (grpo_loss, naive.grpo, GrpoConfig(normalise_std=False, clip_low=0.1, clip_high=0.3)),
    "gvpo": (gvpo_loss, naive.gvpo, GvpoConfig()),
    "gvpo-rollout": (gvpo_loss, naive.gvpo, GvpoConfig(reference="rollout", beta=0.8)),
    "dpo": (dpo_loss, naive.dpo, DpoConfig(beta=0.7)),
    "una": (una_loss, naive.una, UnaConfig(beta=0.7)),
    "grpo-capped": (grpo_loss, naive.grpo, GrpoConfig(importance_cap=1.2)),
    "dr_grpo": (dr_grpo, naive.dr_grpo, DrGrpoConfig()),
    "dr_grpo-kl": (dr_grpo, naive.dr_grpo, DrGrpoConfig(kl_coefficient=0.5, clip_high=0.4)),
    "dapo": (dapo, naive.dapo, DapoConfig()),
    "dapo-no-care-for-length": (dapo, naive.dapo, DapoConfig(overlong_filter=False, overlong_penalty=0.0)),
    "dapo-punished": (dapo, naive.dapo, DapoConfig(overlong_filter=False, overlong_penalty=2.0, overlong_share=0.7)),
    "gspo": (gspo_loss, naive.gspo, GspoConfig()),
    "gspo-wide-kl": (gspo_loss, naive.gspo, GspoConfig(clip_low=0.1, clip_high=0.1, kl_coefficient=0.5)),
    "cispo": (cispo_loss, naive.cispo, CispoConfig()),
    "cispo-low": (cispo_loss, naive.cispo, CispoConfig(weight_max=1.1)),
    "oapl": (oapl_loss, naive.oapl, OaplConfig()),
    "oapl-other-betas": (oapl_loss, naive.oapl, OaplConfig(beta=0.5, value_beta=0.1)),
}
CASES = {name: (gift_loss, naive.gift, options) for name, options in (DETACHED | ATTACHED).items()} | OTHERS
# What has no gradient is held fixed by the objective, and not by a difference of two losses.
SMOOTH = {name: case for name, case in CASES.items() if name not in DETACHED and not name.startswith("cispo")}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_loss_and_gradient_equal_the_naive_version(case) -> None:
    loss, naive_loss, options = case
    groups = random_groups()
    torch.testing.assert_close(loss(groups, options).losses, naive_loss(groups, options), rtol=1e-12, atol=1e-12)

    policy = groups.policy.detach().clone().requires_grad_()
    (expected,) = torch.autograd.grad(naive_loss(replace(groups, policy=policy), options).sum(), policy)
    assert expected.abs().max() > 1e-6
    torch.testing.assert_close(gradient(partial(loss, options=options), groups), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", SMOOTH.values(), ids=SMOOTH)
def test_gradient_equals_finite_differences(case) -> None:
    loss, _, options = case
    groups = random_groups(groups=2, size=4, tokens=3)

    def losses(policy: Tensor) -> Tensor:
        return loss(replace(groups, policy=policy), options).losses

    assert torch.autograd.gradcheck(losses, groups.policy.detach().clone().requires_grad_())


@pytest.mark.parametrize("options", DETACHED.values(), ids=DETACHED)
def test_gradient_with_detached_statistics_equals_finite_differences_with_the_statistics_held_fixed(options) -> None:
    groups = random_groups(groups=2, size=4, tokens=3)
    correction = 1 if options.std == "unbiased" else 0
    base = groups.reference if options.reference == "sft" else groups.rollout
    lengths = groups.mask.sum(dim=2) if options.reduction == "mean" else 1

    def implicit(policy: Tensor) -> Tensor:
        return ((policy - base) * groups.mask).sum(dim=2) / lengths

    fixed = implicit(groups.policy)
    mean = fixed.mean(dim=1, keepdim=True)
    denominator = fixed.std(dim=1, correction=correction, keepdim=True).clamp_min(options.std_floor)
    denominator = denominator + options.std_epsilon
    explicit = groups.rewards - groups.rewards.mean(dim=1, keepdim=True)
    explicit = explicit / groups.rewards.std(dim=1, correction=correction, keepdim=True)

    def losses(policy: Tensor) -> Tensor:
        return (explicit - options.scale * (implicit(policy) - mean) / denominator).square().mean(dim=1).sum()

    measured, step = torch.zeros_like(groups.policy), 1e-6
    for position in torch.cartesian_prod(*(torch.arange(size) for size in groups.policy.shape)).tolist():
        offset = torch.zeros_like(groups.policy)
        offset[tuple(position)] = step
        slope = (losses(groups.policy + offset) - losses(groups.policy - offset)) / (2 * step)
        measured[tuple(position)] = slope
    torch.testing.assert_close(gradient(partial(gift_loss, options=options), groups), measured, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("garbage", [900.0, -900.0])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_masked_positions_change_nothing_and_carry_no_gradient(case, garbage: float) -> None:
    loss, _, options = case
    groups = random_groups()
    others = ("reference", "rollout", "before", "sampler")
    hidden = {name: torch.where(groups.mask, getattr(groups, name), -garbage) for name in others}
    disturbed = replace(groups, policy=torch.where(groups.mask, groups.policy, garbage), **hidden)
    objective = partial(loss, options=options)
    assert not groups.mask.all()
    assert torch.equal(objective(disturbed).losses, objective(groups).losses)
    found = gradient(objective, disturbed)
    assert torch.equal(found, gradient(objective, groups))
    assert found[~groups.mask].abs().max() == 0


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_group_does_not_see_the_others(case) -> None:
    loss, _, options = case
    together, alone = random_groups(groups=3), random_groups(groups=3)
    alone = replace(alone, **{field.name: getattr(alone, field.name)[1:2] for field in fields(alone)})
    torch.testing.assert_close(loss(together, options).losses[1:2], loss(alone, options).losses, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_metrics_are_one_number_per_group_without_gradient(case) -> None:
    loss, _, options = case
    groups = random_groups()
    groups.policy.requires_grad_()
    outcome = loss(groups, options)
    for name, values in {**outcome.metrics, **outcome.spreads}.items():
        assert values.shape == (3,), name
        assert not values.requires_grad, name
        assert torch.isfinite(values).all(), name

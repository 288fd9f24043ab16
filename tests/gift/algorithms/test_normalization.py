"""The check of normalised implicit rewards: it passes on proper groups, and refuses what does not cancel."""

import re

import pytest
import torch
from scored import from_implicit, random_groups
from torch import Tensor

from gift.algorithms.normalization import BETAS, LIMIT, Normalization, measure_normalization, metrics, refuse, summary
from gift.errors import GiftError


def _own_prompts(groups: int, size: int) -> Tensor:
    """Every group answers a prompt of its own."""
    return torch.arange(groups)[:, None].expand(groups, size)


@pytest.fixture
def result() -> Normalization:
    """Two parts, as a stage that works through micro-batches has them."""
    return measure_normalization([random_groups(groups=3, seed=0), random_groups(groups=2, seed=1)], _own_prompts(5, 5))


def test_proper_groups_pass_with_every_beta(result: Normalization) -> None:
    refuse(result)
    assert [found.beta for found in result.betas] == list(BETAS)
    assert len(result.problems) == len(result.implicit_reward_std) == len(result.differences_between_betas) == 5
    for found in result.betas:
        assert max(found.differences) < 1e-10
        assert len(found.log_partition) == 5
        assert all(1 <= size <= result.group_size for size in found.effective_sample_size)
    assert max(abs(value) for value in result.betas[0].log_partition) > 10  # what dropped out was not small
    assert max(result.differences_between_betas) < 1e-10


def test_groups_in_float32_pass_though_log_z_is_large() -> None:
    log_ratios = 1e-3 * torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    rewards = torch.tensor([[1.0, 0, 0, 0, 0, 0, 0, 0]] * 4)
    found = measure_normalization([from_implicit(log_ratios, rewards)], _own_prompts(4, 8))
    assert found.betas[0].log_partition[0] == pytest.approx(100 - 2.08, abs=0.01)  # r / β − log N
    refuse(found)


def test_a_response_to_another_prompt_is_refused_with_the_problem_of_its_group_named() -> None:
    prompts = _own_prompts(5, 8).clone()
    prompts[3, 0] = 4
    found = measure_normalization([random_groups(groups=5, size=8)], prompts)
    words = "problem problem-3 with log Z(x) and without (β = 0.01) differ by"
    with pytest.raises(GiftError, match=re.escape(words)):
        refuse(found)


def test_a_beta_that_does_not_cancel_is_refused(result: Normalization) -> None:
    differences = (0.0, 2 * LIMIT, 0.0, 0.0, 0.0)
    with pytest.raises(GiftError, match=re.escape("problem-1 with different β differ by 0.0002, the limit is 0.0001")):
        refuse(result.model_copy(update={"differences_between_betas": differences}))


def test_rewards_that_are_not_normalised_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gift.algorithms.partition.normalise", lambda values, correction: values)
    with pytest.raises(GiftError, match="not normalised as a whole"):
        refuse(measure_normalization([random_groups()], _own_prompts(3, 5)))


def test_equal_policy_and_reference_show_nothing_and_are_refused() -> None:
    equal = measure_normalization([from_implicit(torch.zeros(2, 4), torch.rand(2, 4))], _own_prompts(2, 4))
    with pytest.raises(GiftError, match="train it longer before the check"):
        refuse(equal)


def test_the_metrics_and_the_line_carry_the_figures(result: Normalization) -> None:
    found = metrics(result)
    by_beta = [found[f"normalization/max_difference/beta_{beta:g}"] for beta in BETAS]
    assert found["normalization/max_difference"] == max(by_beta)
    assert found["normalization/mean_log_partition/beta_1"] == pytest.approx(sum(result.betas[2].log_partition) / 5)
    line = summary(result)
    assert "limit 0.0001" in line
    assert "5 groups of 5" in line
    assert "\n" not in line

"""The losses of TRL's GRPOTrainer on the same log-probabilities, advantages and masks, value and gradient.

What is called is TRL's own `_compute_loss`; a stand-in for the trainer around it holds its settings, and says the
log-probabilities instead of a model. TRL divides a reward by std + 1e-4, so that it gets our advantages.
"""

import importlib.util
from collections import defaultdict
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from scored import gradient, random_groups
from torch import Tensor

from gift.algorithms import ScoredGroups
from gift.algorithms.cispo import cispo_loss
from gift.algorithms.dapo import dapo_loss
from gift.algorithms.dr_grpo import dr_grpo_loss
from gift.algorithms.grpo import grpo_loss
from gift.algorithms.gspo import gspo_loss
from gift.algorithms.objective import normalise
from gift.config import CispoConfig, DapoConfig, DrGrpoConfig, GrpoConfig, GspoConfig

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("trl") is None, reason="TRL is not installed; `make bench-install` installs it"
    ),
]

LONGEST, CAP = 6, 1.2
NO_CARE = DapoConfig(overlong_penalty=0.0, overlong_filter=False)
FILTER = DapoConfig(overlong_penalty=0.0)


def _settings(**others: object) -> dict[str, object]:
    defaults = {"importance_sampling_level": "token", "beta": 0.0, "epsilon_low": 0.2, "epsilon_high": 0.2}
    return defaults | {"use_vllm": False} | others


CASES = {
    "grpo": (partial(grpo_loss, options=GrpoConfig(kl_coefficient=0.1)), _settings(loss_type="grpo", beta=0.1)),
    "grpo, truncated importance sampling": (
        partial(grpo_loss, options=GrpoConfig(kl_coefficient=0.1, importance_cap=CAP)),
        _settings(loss_type="grpo", beta=0.1, use_vllm=True),
    ),
    "dr_grpo": (
        partial(dr_grpo_loss, options=DrGrpoConfig(kl_coefficient=0.1), longest=LONGEST),
        _settings(loss_type="dr_grpo", beta=0.1),
    ),
    "dapo": (partial(dapo_loss, options=NO_CARE, longest=LONGEST), _settings(loss_type="dapo", epsilon_high=0.28)),
    "dapo, overlong filter": (
        partial(dapo_loss, options=FILTER, longest=LONGEST),
        _settings(loss_type="dapo", epsilon_high=0.28, mask_truncated_completions=True),
    ),
    "gspo": (
        partial(gspo_loss, options=GspoConfig(clip_low=0.05, clip_high=0.1, kl_coefficient=0.1)),
        _settings(loss_type="grpo", importance_sampling_level="sequence", epsilon_low=0.05, epsilon_high=0.1, beta=0.1),
    ),
    "cispo": (
        partial(cispo_loss, options=CispoConfig(weight_max=1.2)),
        _settings(loss_type="cispo", epsilon_high=1.2),
    ),
}


def _trl_loss(groups: ScoredGroups, policy: Tensor, settings: dict[str, object]) -> tuple[Tensor, dict[str, float]]:
    """TRL's loss of all groups, a scalar, and its metrics."""
    from trl.trainer.grpo_trainer import GRPOTrainer

    def rows(values: Tensor) -> Tensor:
        return values.flatten(0, 1)

    capped = bool(settings["use_vllm"])
    mask = rows(groups.mask).long()
    if settings.get("mask_truncated_completions"):  # as `_generate_and_score_completions` does
        mask = mask * (~rows(groups.truncated)).unsqueeze(1).int()
    centred = settings["loss_type"] == "dr_grpo"
    advantages = groups.rewards - groups.rewards.mean(dim=1, keepdim=True) if centred else normalise(groups.rewards, 1)
    inputs = {
        **dict.fromkeys(("prompt_ids", "prompt_mask", "completion_ids"), torch.zeros_like(mask)),
        "completion_mask": mask,
        "advantages": rows(advantages),
        "old_per_token_logps": rows(groups.before if capped else groups.rollout),
        "ref_per_token_logps": rows(groups.reference),
        "num_items_in_batch": mask.sum(),
        "importance_sampling_ratio": (rows(groups.before) - rows(groups.sampler)).exp().clamp(max=CAP),
    }
    metrics: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    trainer = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *_, **__: (rows(policy), torch.zeros(mask.shape), None),
        **settings,
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1),
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(
            num_processes=1, gather=lambda values: values, reduce=lambda values, reduction: values
        ),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        vllm_importance_sampling_correction=True,
        current_gradient_accumulation_steps=1,
        max_completion_length=LONGEST,
        _entropy_bonus_enabled=False,
        _metrics=metrics,
    )
    loss = GRPOTrainer._compute_loss(trainer, None, inputs)
    return loss, {name: values[0] for name, values in metrics["train"].items()}


def _group(groups: ScoredGroups, index: int) -> ScoredGroups:
    tensors = ("policy", "reference", "rollout", "mask", "rewards", "truncated", "before", "sampler", "names")
    return replace(groups, **{name: getattr(groups, name)[index : index + 1] for name in tensors})


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("seed", range(3))
def test_a_group_has_trls_loss_gradient_and_metrics(case, seed: int) -> None:
    objective, settings = case
    for index in range(3):
        groups = _group(random_groups(seed=seed), index)
        policy = groups.policy.clone().requires_grad_()
        expected, expected_metrics = _trl_loss(groups, policy, settings)
        outcome = objective(groups)
        torch.testing.assert_close(outcome.losses.squeeze(), expected.detach(), rtol=1e-6, atol=1e-6)
        (slope,) = torch.autograd.grad(expected, policy)
        assert slope.abs().max() > 1e-3
        torch.testing.assert_close(gradient(objective, groups), slope, rtol=1e-6, atol=1e-6)
        shared = expected_metrics.keys() & outcome.metrics.keys()
        assert shared == {name for name in outcome.metrics if "clip" in name}
        found = {name: outcome.metrics[name].item() for name in shared}
        assert found == pytest.approx({name: expected_metrics[name] for name in shared}, abs=1e-6)


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "gspo"])
def test_losses_of_several_groups_average_to_trls(name: str) -> None:
    objective, settings = CASES[name]
    groups = random_groups()
    expected, _ = _trl_loss(groups, groups.policy, settings)
    torch.testing.assert_close(objective(groups).losses.mean(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["dapo", "cispo"])
def test_where_trl_takes_the_mean_over_all_tokens_a_group_weighs_its_tokens(name: str) -> None:
    objective, settings = CASES[name]
    groups = random_groups()
    expected, _ = _trl_loss(groups, groups.policy, settings)
    tokens = groups.mask.sum(dim=(1, 2))
    losses = objective(groups).losses
    torch.testing.assert_close((losses * tokens).sum() / tokens.sum(), expected, rtol=1e-6, atol=1e-6)
    assert abs(losses.mean() - expected) > 1e-6, "which is not the mean over groups"

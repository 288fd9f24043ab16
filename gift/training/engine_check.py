"""Proof at start-up that an engine samples from the trainer's weights, and from new ones after each refresh.

An engine that quietly keeps old weights, or only some of them (the packed head of tied embeddings is a known case),
would spoil a run without any error. So every weight is changed in place, handed over, and changed back:

    refresh(policy)          engine = policy
    refresh(changed policy)  engine = changed policy, and far from the policy
    refresh(policy)
"""

from collections.abc import Sequence

import torch
from torch import nn

from gift.config import RolloutConfig
from gift.errors import GiftError
from gift.policy.log_probabilities import response_log_probabilities
from gift.rollout.engine import RolloutEngine
from gift.rollout.rollouts import Rollouts
from gift.training.shards import scale_weights

RESPONSES = 4
NEW_TOKENS = 16


def check_engine(
    engine: RolloutEngine, policy: nn.Module, prompts: Sequence[Sequence[int]], config: RolloutConfig
) -> None:
    """Compare the engine's log-probabilities of its own samples with the trainer's. All ranks.

    A few prompts are enough: each gets 4 responses of 16 tokens. All ranks pass as many, at least one: under ZeRO-3
    their forward passes go together, layer by layer.

    Raises:
        GiftError: they differ by more than `vllm.max_difference`, before or after the weights were changed.
    """
    limit, temperature = config.vllm.max_difference, config.temperature
    engine.refresh(policy)
    difference = mean_difference(policy, _samples(engine, prompts), temperature)
    if not difference <= limit:  # neither is NaN
        raise GiftError(
            f"the engine's log-probabilities are {difference:.3f} nats per token off the trainer's, "
            f"rollout.vllm.max_difference is {limit}; use rollout.engine: transformers, or raise the limit"
        )
    # Half of every weight takes no memory, adds no rounding error (the way back is exact, down to 1e-37), and leaves a
    # calm model: with shuffled weights, bf16 engines drift nats apart by rounding alone.
    scale_weights(policy, 0.5)
    engine.refresh(policy)
    rollouts = _samples(engine, prompts)
    difference = mean_difference(policy, rollouts, temperature)
    scale_weights(policy, 2.0)
    engine.refresh(policy)
    if not difference <= limit:
        raise GiftError(
            f"the engine kept old weights: after a change of all weights its log-probabilities are {difference:.3f} "
            f"nats per token off the trainer's (limit {limit}); use rollout.engine: transformers for this model"
        )
    change = mean_difference(policy, rollouts, temperature)
    if not change > limit:
        raise GiftError(
            f"a change of all weights moves log-probabilities by only {change:.3f} nats per token, so that an engine "
            f"with old weights would go unnoticed; lower rollout.vllm.max_difference ({limit}) below that"
        )


@torch.no_grad()
def mean_difference(policy: nn.Module, rollouts: Rollouts, temperature: float) -> float:
    """Mean absolute difference of the engine's and the policy's log-probabilities, in nats per token."""
    if rollouts.engine_log_probabilities is None:
        raise ValueError("the engine did not say its log-probabilities")
    trainer = response_log_probabilities(policy, rollouts, temperature)
    return float((trainer - rollouts.engine_log_probabilities)[rollouts.response_mask].abs().mean())


def _samples(engine: RolloutEngine, prompts: Sequence[Sequence[int]]) -> Rollouts:
    return engine.sample(prompts, RESPONSES, seed=0, max_new_tokens=NEW_TOKENS)

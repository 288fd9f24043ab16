"""Proof that an engine samples from the trainer's weights: at start-up, and after every sync of new ones.

An engine that quietly keeps old weights, or only some of them (the packed head of tied embeddings is a known case),
would spoil a run without any error. So at start-up every weight is changed in place, handed over, and changed back:

    refresh(policy)          engine = policy, up to a noise that is measured
    refresh(changed policy)  engine = changed policy, and far from the policy
    refresh(policy)

After each sync a few tokens are sampled. Their log-probabilities must be the trainer's up to that noise, and must not
be, to the last bit, those from before a sync that moved the trainer's. In bf16 the noise hides the part of a small
update that a single parameter makes; which parameters vLLM holds, it says itself (`gift.rollout.weight_sums`). An
engine that samples from the policy itself has nothing to sync.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gift.config import RolloutConfig
from gift.errors import GiftError
from gift.policy.log_probabilities import response_log_probabilities
from gift.rollout.engine import RolloutEngine
from gift.rollout.rollouts import Rollouts
from gift.training.shards import scale_weights

RESPONSES = 4
NEW_TOKENS = 16
PROMPT_TOKENS_AFTER_SYNC = 16
RESPONSES_AFTER_SYNC = 8
NEW_TOKENS_AFTER_SYNC = 4
"""Many short responses to the beginning of a prompt: 32 log-probabilities for 160 tokens of the trainer's time."""
NOISE_FACTOR = 10.0
"""By how much the noise may grow while the policy becomes surer of itself."""
LEAST_LIMIT = 1e-5
"""In nats per token: what float32 makes of any model, however small its noise at start-up."""


def check_engine(
    engine: RolloutEngine, policy: nn.Module, prompts: Sequence[Sequence[int]], config: RolloutConfig
) -> "SyncCheck":
    """Compare the engine's log-probabilities of its own samples with the trainer's. All ranks.

    A few prompts are enough: each gets 4 responses of 16 tokens. All ranks pass as many, at least one: under ZeRO-3
    their forward passes go together, layer by layer.

    Returns:
        What compares them after each sync from now on.

    Raises:
        GiftError: they differ by more than `vllm.max_difference`, before or after the weights were changed.
    """
    limit, temperature = config.vllm.max_difference, config.temperature
    engine.refresh(policy)
    noise = mean_difference(policy, _samples(engine, prompts), temperature)
    if not noise <= limit:  # neither is NaN
        raise GiftError(
            f"the engine's log-probabilities are {noise:.3f} nats per token off the trainer's, "
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
    beginning = prompts[0][:PROMPT_TOKENS_AFTER_SYNC]
    check = SyncCheck(engine, policy, beginning, temperature, min(limit, max(NOISE_FACTOR * noise, LEAST_LIMIT)))
    check.after_sync()
    return check


@dataclass
class SyncCheck:
    """Compares an engine with the trainer after each sync, by the same prompt and seed."""

    engine: RolloutEngine
    policy: nn.Module
    prompt: Sequence[int]
    temperature: float
    limit: float
    """Mean absolute difference in nats per token that is still noise."""
    _before: tuple[Rollouts, Tensor] | None = None
    """What the engine sampled after the sync before, and the trainer's log-probabilities of it."""

    @torch.no_grad()
    def after_sync(self) -> None:
        """All ranks.

        Raises:
            GiftError: the engine does not have the policy's weights.
        """
        rollouts = self.engine.sample([self.prompt], RESPONSES_AFTER_SYNC, 0, max_new_tokens=NEW_TOKENS_AFTER_SYNC)
        engine = _engine_log_probabilities(rollouts)
        trainer = response_log_probabilities(self.policy, rollouts, self.temperature)
        difference = _mean_absolute(trainer - engine, rollouts)
        before, self._before = self._before, (rollouts, trainer)
        rank = dist.get_rank() if dist.is_initialized() else 0
        if before is not None and _same_samples(before[0], rollouts):
            moved = (trainer != before[1])[rollouts.response_mask]
            if moved.float().mean() > 0.5:
                raise GiftError(
                    f"stale weights: with the last sync the trainer's log-probabilities moved by "
                    f"{_mean_absolute(trainer - before[1], rollouts):.1e} nats per token and those of rank {rank}'s "
                    "rollout engine not at all; it samples from old weights: use rollout.engine: transformers"
                )
        if not difference <= self.limit:
            raise GiftError(
                f"stale weights: after a sync the log-probabilities of rank {rank}'s rollout engine are "
                f"{difference:.2g} nats per token off the trainer's, where {self.limit:.2g} may be noise; "
                "use rollout.engine: transformers for this model"
            )


@torch.no_grad()
def mean_difference(policy: nn.Module, rollouts: Rollouts, temperature: float) -> float:
    """Mean absolute difference of the engine's and the policy's log-probabilities, in nats per token."""
    trainer = response_log_probabilities(policy, rollouts, temperature)
    return _mean_absolute(trainer - _engine_log_probabilities(rollouts), rollouts)


def _engine_log_probabilities(rollouts: Rollouts) -> Tensor:
    if rollouts.engine_log_probabilities is None:
        raise ValueError("the engine did not say its log-probabilities")
    return rollouts.engine_log_probabilities


def _mean_absolute(values: Tensor, rollouts: Rollouts) -> float:
    return float(values[rollouts.response_mask].abs().mean())


def _same_samples(one: Rollouts, other: Rollouts) -> bool:
    """Whether two samples of the same prompts are the same, log-probabilities included, to the last bit."""
    return torch.equal(one.response_ids, other.response_ids) and torch.equal(
        _engine_log_probabilities(one), _engine_log_probabilities(other)
    )


def _samples(engine: RolloutEngine, prompts: Sequence[Sequence[int]]) -> Rollouts:
    return engine.sample(prompts, RESPONSES, seed=0, max_new_tokens=NEW_TOKENS)

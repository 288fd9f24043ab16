"""Rollouts with transformers' `generate`: the policy's own weights, no copy to keep in step.

Left out: continuous batching and prefix sharing, which a serving engine does better.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig

from gift.config import RolloutConfig
from gift.data.tokens import pad_left
from gift.rollout.rollouts import Rollouts, no_rollouts


class TransformersEngine:
    """A `RolloutEngine` that generates with the policy itself, so that `refresh` only has to remember it."""

    samples_from_policy = True

    def __init__(self, config: RolloutConfig, *, eos: int, pad: int) -> None:
        self._config = config
        self._eos = eos
        self._pad = pad
        self._policy: nn.Module | None = None

    def refresh(self, policy: nn.Module) -> None:
        self._policy = policy

    def close(self) -> None:
        self._policy = None

    @torch.no_grad()
    def sample(
        self, prompts: Sequence[Sequence[int]], responses: int, seed: int, max_new_tokens: int | None = None
    ) -> Rollouts:
        """Sampled at `config.temperature` with nothing cut; see `RolloutEngine.sample`."""
        if self._policy is None:
            raise RuntimeError("refresh the engine with the policy before sampling")
        policy: Any = self._policy  # a PreTrainedModel; nn.Module's own types know no generate
        if not prompts:
            return no_rollouts(policy.device)
        ids, mask = pad_left(prompts, self._pad)  # (G, P)
        prompt_ids = ids.repeat_interleave(responses, dim=0).to(policy.device)  # (B, P)
        prompt_mask = mask.repeat_interleave(responses, dim=0).to(policy.device)
        was_training = policy.training
        policy.eval()
        torch.manual_seed(seed)
        sequences = policy.generate(
            input_ids=prompt_ids,
            attention_mask=prompt_mask.long(),
            generation_config=GenerationConfig(
                do_sample=True,
                temperature=self._config.temperature,
                top_p=1.0,
                top_k=0,
                repetition_penalty=1.0,  # a model's own generation config would fill in what is not said here
                max_new_tokens=max_new_tokens or self._config.max_new_tokens,
                eos_token_id=self._eos,
                pad_token_id=self._pad,
            ),
        )
        policy.train(was_training)
        response_ids = sequences[:, prompt_ids.shape[1] :]  # (B, R)
        return Rollouts(prompt_ids, prompt_mask, response_ids, response_mask(response_ids, self._eos))


def response_mask(response_ids: Tensor, eos: int) -> Tensor:
    """(B, R) ids → (B, R) bool: true up to and including the first end-of-sequence token."""
    ended = (response_ids == eos).cumsum(dim=1)
    return (ended == 0) | ((ended == 1) & (response_ids == eos))

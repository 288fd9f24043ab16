"""Rollouts with transformers: the policy's own weights, no copy to keep in step."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from gift.config import RolloutConfig
from gift.data.tokens import pad_left, response_mask
from gift.models.generation import Generation, generate
from gift.rollout.engine import Finished
from gift.rollout.rollouts import Rollouts, no_rollouts


class TransformersEngine:
    """A `RolloutEngine` that generates with the policy itself, so that `refresh` only has to remember it."""

    samples_from_policy = True

    def __init__(self, config: RolloutConfig, *, ends: Sequence[int], pad: int) -> None:
        """`ends` are the token ids that end a response (`gift.models.ends`)."""
        self._config = config
        self._ends = ends
        self._pad = pad
        self._policy: nn.Module | None = None

    def refresh(self, policy: nn.Module) -> None:
        self._policy = policy

    def rest(self) -> None:
        """Nothing to do: what it samples with is the trainer's own."""

    def close(self) -> None:
        self._policy = None

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        responses: int,
        seed: int,
        max_new_tokens: int | None = None,
        finished: Finished | None = None,
    ) -> Rollouts:
        """Sampled at `config.temperature` with nothing cut; see `RolloutEngine.sample`."""
        if self._policy is None:
            raise RuntimeError("refresh the engine with the policy before sampling")
        policy: Any = self._policy  # a PreTrainedModel
        if not prompts:
            return no_rollouts(policy.device)
        ids, mask = (part.to(policy.device) for part in pad_left(prompts, self._pad))  # (G, P)
        prompt_of = torch.arange(len(prompts), device=policy.device).repeat_interleave(responses)  # (B,)
        generation = Generation(
            ends=self._ends,
            pad=self._pad,
            max_new_tokens=max_new_tokens or self._config.max_new_tokens,
            temperature=self._config.temperature,
            finished=finished,
        )
        torch.manual_seed(seed)
        response_ids = generate(policy, ids, mask, generation, prompt_of)
        return Rollouts(ids[prompt_of], mask[prompt_of], response_ids, response_mask(response_ids, self._ends))

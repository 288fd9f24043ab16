"""Rollouts with transformers: the policy's own weights, no copy to keep in step."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import StoppingCriteriaList

from gift.config import RolloutConfig
from gift.data.tokens import is_end, pad_left, response_mask
from gift.models.generation import generate
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
        policy: Any = self._policy  # a PreTrainedModel; nn.Module's own types know no generate
        if not prompts:
            return no_rollouts(policy.device)
        ids, mask = pad_left(prompts, self._pad)  # (G, P)
        prompt_ids = ids.repeat_interleave(responses, dim=0).to(policy.device)  # (B, P)
        prompt_mask = mask.repeat_interleave(responses, dim=0).to(policy.device)
        torch.manual_seed(seed)
        response_ids = generate(
            policy,
            prompt_ids,
            prompt_mask,
            ends=self._ends,
            pad=self._pad,
            max_new_tokens=max_new_tokens or self._config.max_new_tokens,
            temperature=self._config.temperature,
            stopping=StoppingCriteriaList([_onlooker(finished, self._ends, ids.shape[1])]) if finished else None,
        )
        return Rollouts(prompt_ids, prompt_mask, response_ids, response_mask(response_ids, self._ends))


def _onlooker(finished: Finished, ends: Sequence[int], prompt_tokens: int) -> Callable[..., Tensor]:
    """A stopping criterion that stops nothing, and tells of each row whose last token ends it."""
    told: set[int] = set()  # what follows an end may be another end, where that is also what pads

    def look(input_ids: Tensor, _scores: Tensor, **_: Any) -> Tensor:
        for row in is_end(input_ids[:, -1], ends).nonzero().flatten().tolist():
            if row not in told:
                told.add(row)
                finished(row, input_ids[row, prompt_tokens:].tolist())
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

    return look

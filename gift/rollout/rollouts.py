"""What a sampling engine returns, and all that the trainer needs of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Rollouts:
    """B prompts with one response each; prompts are padded on the left, responses on the right."""

    prompt_ids: Tensor
    """(B, P) int64"""
    prompt_mask: Tensor
    """(B, P) bool"""
    response_ids: Tensor
    """(B, R) int64"""
    response_mask: Tensor
    """(B, R) bool: tokens up to and including the first one that ends a response."""
    engine_log_probabilities: Tensor | None = None
    """(B, R) float32 as the engine computed them while sampling, 0 where masked; only to compare with the trainer's."""

    def __len__(self) -> int:
        return len(self.prompt_ids)

    def to(self, device: torch.device) -> "Rollouts":
        """On another device, or itself."""
        engine = self.engine_log_probabilities
        return Rollouts(
            self.prompt_ids.to(device),
            self.prompt_mask.to(device),
            self.response_ids.to(device),
            self.response_mask.to(device),
            None if engine is None else engine.to(device),
        )

    def rows(self, start: int, stop: int) -> "Rollouts":
        """The rollouts start … stop − 1."""
        return Rollouts(
            self.prompt_ids[start:stop],
            self.prompt_mask[start:stop],
            self.response_ids[start:stop],
            self.response_mask[start:stop],
            None if self.engine_log_probabilities is None else self.engine_log_probabilities[start:stop],
        )


def no_rollouts(device: torch.device) -> Rollouts:
    """What comes of no prompts: B = P = R = 0."""
    ids, mask = (torch.zeros(0, 0, dtype=dtype, device=device) for dtype in (torch.int64, torch.bool))
    return Rollouts(ids, mask, ids, mask)


def concatenate(parts: Sequence[Rollouts], pad: int) -> Rollouts:
    """All rollouts in order; shorter prompts and responses are padded with the token id `pad`."""
    prompt_length = max(part.prompt_ids.shape[1] for part in parts)
    response_length = max(part.response_ids.shape[1] for part in parts)

    def left(tensor: Tensor, value: int) -> Tensor:
        return nn.functional.pad(tensor, (prompt_length - tensor.shape[1], 0), value=value)

    def right(tensor: Tensor, value: int) -> Tensor:
        return nn.functional.pad(tensor, (0, response_length - tensor.shape[1]), value=value)

    engine = [part.engine_log_probabilities for part in parts if part.engine_log_probabilities is not None]
    return Rollouts(
        torch.cat([left(part.prompt_ids, pad) for part in parts]),
        torch.cat([left(part.prompt_mask, False) for part in parts]),
        torch.cat([right(part.response_ids, pad) for part in parts]),
        torch.cat([right(part.response_mask, False) for part in parts]),
        torch.cat([right(values, 0) for values in engine]) if len(engine) == len(parts) else None,
    )

"""What a sampling engine returns, and all that the trainer needs of it."""

from dataclasses import dataclass

from torch import Tensor


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
    """(B, R) bool: tokens up to and including the first end-of-sequence token."""

    def __len__(self) -> int:
        return len(self.prompt_ids)

    def rows(self, start: int, stop: int) -> "Rollouts":
        """The rollouts start … stop − 1."""
        return Rollouts(
            self.prompt_ids[start:stop],
            self.prompt_mask[start:stop],
            self.response_ids[start:stop],
            self.response_mask[start:stop],
        )

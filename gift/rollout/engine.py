"""The protocol of a sampling engine, as small as the trainer's need of it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import nn

from gift.rollout.rollouts import Rollouts

Finished = Callable[[int, Sequence[int]], None]
"""Takes the row (of B) and the token ids of a response that has ended, while others are still sampled."""


class RolloutEngine(Protocol):
    """Samples responses from the policy's newest weights. Each rank holds one, and makes every call with all others:
    ranks may share what is behind it.
    """

    @property
    def samples_from_policy(self) -> bool:
        """Whether `sample` runs the policy itself, which must then be whole on the rank; else it has a copy."""

    def refresh(self, policy: nn.Module) -> None:
        """Take over the weights of `policy`: before the first sampling, and before the next one after an update."""

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        responses: int,
        seed: int,
        max_new_tokens: int | None = None,
        finished: Finished | None = None,
    ) -> Rollouts:
        """`responses` responses for each of G token-id prompts, a prompt's own in neighbouring rows: B = G·responses.

        A rank with nothing to sample calls it too, with no prompts (G = 0). Prompts and seed are the rank's own; the
        number and length of responses are the same on all ranks. The same seed, prompts and weights give the same
        responses. Without `max_new_tokens` they are as long as the configuration allows. `finished` gets what ends
        early, as far as the engine hears of it; never a row twice.
        """

    def rest(self) -> None:
        """Nobody samples before the next `refresh`: leave the accelerator's memory to the trainer until then."""

    def close(self) -> None:
        """Free memory and end processes; the engine is not used afterwards."""

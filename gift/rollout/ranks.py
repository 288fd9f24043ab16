"""Ranks that share an engine, or the file with its new weights: the first of them does the work, the others wait.

The messages are pickled, and never come from outside: only from ranks of the same job.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch.distributed as dist

PATIENCE = timedelta(minutes=15)
"""Longer than the first one waits for its engine by so much, so that it is the first to say what is wrong."""


@dataclass(frozen=True)
class Ranks:
    """Neighbouring ranks of a training job, or one rank alone. What they call here, all of them must call."""

    leads: bool = True
    """Whether this rank is the first of them."""
    first: int = 0
    """The first one's rank in the whole job."""
    group: dist.ProcessGroup | None = None
    """None for one rank alone."""

    def wait(self) -> None:
        """Return when all of them are here."""
        if self.group is not None:
            dist.barrier(group=self.group)

    def tell(self, text: str) -> str:
        """The first one's text, on all of them."""
        if self.group is None:
            return text
        texts = [text]
        dist.broadcast_object_list(texts, src=self.first, group=self.group)
        return texts[0]

    def gather(self, value: Any) -> list[Any]:
        """The values of all of them, in the order of the ranks, on the first; an empty list on the others."""
        if self.group is None:
            return [value]
        values: list[Any] | None = [None] * dist.get_world_size(self.group) if self.leads else None
        dist.gather_object(value, values, dst=self.first, group=self.group)
        return values or []

    def scatter(self, values: Sequence[Any]) -> Any:
        """Each one's own of the first one's `values`, which are in the order of the ranks."""
        if self.group is None:
            return values[0]
        own = [None]
        dist.scatter_object_list(own, list(values) if self.leads else None, src=self.first, group=self.group)
        return own[0]


def neighbouring_ranks(size: int, longest: timedelta) -> Ranks:
    """Split the job's ranks into groups of `size`, which divides their number, and return this rank's. All ranks.

    Args:
        longest: what the first of a group may wait for its engine.
    """
    if size == 1:
        return Ranks()
    rank, own = dist.get_rank(), Ranks()
    for first in range(0, dist.get_world_size(), size):
        # gloo: the messages are short and live on the CPU, whatever the gradients travel by.
        group = dist.new_group(list(range(first, first + size)), backend="gloo", timeout=longest + PATIENCE)
        if first <= rank < first + size:
            own = Ranks(rank == first, first, group)
    return own

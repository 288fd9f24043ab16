"""Which responses go through the model together: as many as `compute.tokens_per_micro_batch` tokens hold.

A micro-batch is a range of a batch's rows, and holds whole groups where every group fits the budget. Where one doesn't,
groups are cut, and each part brings the prompt along. Left out: another order of the rows, which would pack tighter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gift.rollout.rollouts import Rollouts


@dataclass(frozen=True)
class MicroBatch:
    """The rows start … stop − 1 of a batch."""

    start: int
    stop: int
    group_sizes: tuple[int, ...]
    """How many of its rows that follow one another answer the same prompt."""


class Lengths:
    """How many tokens any range of a batch's rows takes."""

    def __init__(self, rollouts: Rollouts, group_size: int, *, packed: bool) -> None:
        """`packed`: each prompt once per group and no padding; else rows as wide as the widest."""
        self._prompts: list[int] = rollouts.prompt_mask.sum(dim=1).tolist()
        self._responses: list[int] = rollouts.response_mask.sum(dim=1).tolist()
        self._packed = packed
        self.group_size = group_size
        self.rows = len(self._prompts)

    def tokens(self, start: int, stop: int) -> int:
        """Of the rows start … stop − 1 in one forward pass."""
        if not self._packed:
            return (stop - start) * (max(self._prompts[start:stop]) + max(self._responses[start:stop]))
        next_group = start - start % self.group_size + self.group_size
        prompts = [self._prompts[start], *self._prompts[next_group : stop : self.group_size]]
        return sum(prompts) + sum(self._responses[start:stop]) - (stop - start)

    def largest_group(self) -> int:
        """Tokens."""
        size = self.group_size
        return max(self.tokens(start, start + size) for start in range(0, self.rows, size))


def plan_micro_batches(lengths: Lengths, budget: int, *, whole_groups: bool) -> list[MicroBatch]:
    """All rows in order, each micro-batch as long as the budget allows; one unit may exceed it.

    Args:
        budget: tokens.
        whole_groups: cut between groups only; else between any two rows.
    """
    unit = lengths.group_size if whole_groups else 1
    cuts = [0]
    for stop in range(unit, lengths.rows + 1, unit):
        if stop - unit > cuts[-1] and lengths.tokens(cuts[-1], stop) > budget:
            cuts.append(stop - unit)
    return [_micro_batch(lengths, start, stop) for start, stop in zip(cuts, [*cuts[1:], lengths.rows], strict=True)]


def at_least(plan: Sequence[MicroBatch], count: int, lengths: Lengths, *, whole_groups: bool) -> list[MicroBatch]:
    """The plan with its longest micro-batches cut in two until there are `count`, at most as many as groups or rows."""
    unit = lengths.group_size if whole_groups else 1
    result = list(plan)
    while len(result) < count:
        index = max(range(len(result)), key=lambda index: result[index].stop - result[index].start)
        longest = result[index]
        middle = longest.start + (longest.stop - longest.start) // unit // 2 * unit
        result[index : index + 1] = [
            _micro_batch(lengths, longest.start, middle),
            _micro_batch(lengths, middle, longest.stop),
        ]
    return result


def _micro_batch(lengths: Lengths, start: int, stop: int) -> MicroBatch:
    size = lengths.group_size
    bounds = [start, *range(start - start % size + size, stop, size), stop]
    return MicroBatch(start, stop, tuple(after - before for before, after in pairwise(bounds)))

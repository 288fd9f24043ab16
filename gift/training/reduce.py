"""What all ranks find out together: sums, for metrics and for losses whose denominator is global, and agreements."""

import torch
import torch.distributed as dist
from torch import Tensor

from gift.policy.micro_batches import Lengths, MicroBatch, at_least, plan_micro_batches


def sum_over_ranks(values: dict[str, float], device: torch.device) -> dict[str, float]:
    """Each value summed over the ranks, in float64; every rank must pass the same keys in the same order."""
    totals = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
    dist.all_reduce(totals)
    return dict(zip(values, totals.tolist(), strict=True))


def gather_over_ranks(values: Tensor) -> Tensor:
    """(n,) on each rank, as many on all → (ranks · n,), the same on all."""
    parts = [torch.empty_like(values) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, values.contiguous())
    return torch.cat(parts)


def agreed_micro_batches(lengths: Lengths, budget: int) -> tuple[list[MicroBatch], bool]:
    """This rank's micro-batches, as many as every other rank has, and whether all hold whole groups. All ranks.

    Every rank has as many groups, and rows, so that the one with the most micro-batches can be followed by all.

    Args:
        budget: tokens of a micro-batch.
    """
    whole_groups = _largest_over_ranks(lengths.largest_group()) <= budget
    plan = plan_micro_batches(lengths, budget, whole_groups=whole_groups)
    return at_least(plan, _largest_over_ranks(len(plan)), lengths, whole_groups=whole_groups), whole_groups


def said_by_first_rank(number: int) -> int:
    """The number of rank 0, on every rank."""
    said = torch.tensor(number, device=_device())
    dist.broadcast(said, src=0)
    return int(said)


def first_rank_where(flag: bool) -> int | None:
    """The lowest rank whose `flag` is set, on every rank; None where none is."""
    ranks = dist.get_world_size()
    first = torch.tensor(dist.get_rank() if flag else ranks, device=_device())
    dist.all_reduce(first, op=dist.ReduceOp.MIN)
    return int(first) if first < ranks else None


def _largest_over_ranks(number: int) -> int:
    """On every rank."""
    largest = torch.tensor(number, device=_device())
    dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return int(largest)


def _device() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"

"""Sums over all ranks, for metrics and for losses whose denominator is global."""

import torch
import torch.distributed as dist


def sum_over_ranks(values: dict[str, float], device: torch.device) -> dict[str, float]:
    """Each value summed over the ranks, in float64; every rank must pass the same keys in the same order."""
    totals = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
    dist.all_reduce(totals)
    return dict(zip(values, totals.tolist(), strict=True))

"""The collectives that training uses, by one rank: NCCL on a GPU, gloo on a CPU. What goes in must come out."""

import os
from typing import Literal

import torch
import torch.distributed as dist

from gift.config import ComputeConfig
from gift.errors import GiftError
from gift.training.engine import initialize_ranks
from gpu.part import PartResult

ELEMENTS = 2**20
TIMES = 20


def measure_collectives(device: Literal["cpu", "cuda"]) -> PartResult:
    """Raises: GiftError: another backend than expected, or a wrong result."""
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    os.environ["DS_ACCELERATOR"] = device
    place = initialize_ranks(ComputeConfig(ranks=1, device=device))
    backend, expected = dist.get_backend(), "nccl" if device == "cuda" else "gloo"
    if backend != expected:
        raise GiftError(f"ranks on {device} meet over {backend}, and not over {expected}")
    sent = torch.arange(ELEMENTS, device=place, dtype=torch.float32)
    for _ in range(TIMES):
        for name, received in _all_kinds(sent).items():
            if not torch.equal(received, sent):
                raise GiftError(f"{backend}'s {name} of one rank changes what it is given")
    version = ".".join(map(str, torch.cuda.nccl.version())) if device == "cuda" else ""  # type: ignore[no-untyped-call]
    line = f"{' '.join((backend, version)).strip()} with one rank: {', '.join(_all_kinds(sent))} are right."
    dist.destroy_process_group()
    return PartResult([line], {"backend": backend, "version": version, "elements": ELEMENTS, "times": TIMES})


def _all_kinds(sent: torch.Tensor) -> dict[str, torch.Tensor]:
    reduced, gathered, scattered, told = sent.clone(), torch.zeros_like(sent), torch.zeros_like(sent), sent.clone()
    dist.all_reduce(reduced)
    dist.all_gather_into_tensor(gathered, sent)
    dist.reduce_scatter_tensor(scattered, sent.clone())
    dist.broadcast(told, src=0)
    return {"all_reduce": reduced, "all_gather": gathered, "reduce_scatter": scattered, "broadcast": told}

"""The memory of one side, where it computes: all of its process on a CPU, and torch's own on a GPU.

Left out: what a GPU's driver and libraries take beside torch's tensors, which is the same on both sides.
"""

from pathlib import Path
from typing import Literal

import torch

CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""Linux takes the memory of now for the most that there was."""


def memory_now(device: Literal["cpu", "cuda"]) -> int:
    """Bytes: resident memory, or tensors on the GPU."""
    return torch.cuda.memory_allocated() if device == "cuda" else _process_bytes("VmRSS")


def memory_peak(device: Literal["cpu", "cuda"]) -> int:
    """Bytes: the most that `memory_now` was since `forget_peak`."""
    return torch.cuda.max_memory_allocated() if device == "cuda" else _process_bytes("VmHWM")


def forget_peak(device: Literal["cpu", "cuda"]) -> None:
    """From now on the peak counts anew."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        CLEAR_REFS.write_text(RESET_PEAK, encoding="ascii")


def finish_work(device: Literal["cpu", "cuda"]) -> None:
    """Wait until a GPU has done what it was told; a CPU has."""
    if device == "cuda":
        torch.cuda.synchronize()


def _process_bytes(field: str) -> int:
    """What Linux says of this process: `VmRSS` is its resident memory now, `VmHWM` the most that it was."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise LookupError(field)

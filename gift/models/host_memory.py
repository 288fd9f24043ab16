"""A process that computes on a CPU keeps the memory that its tensors no longer use, for those of the next layer.

A tensor that is larger than a fraction of a megabyte is otherwise mapped when it is made and unmapped when it is gone,
and the kernel clears each of its pages anew: up to a quarter of the processor time of a step. The most that a process
holds hardly changes; what it holds between its peaks does.

glibc only; elsewhere it has no effect. Imports no other room.
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""malloc.h's numbers; see mallopt(3)."""
MAPPED_FROM = 2**30
"""Bytes: whole models and what is as large are still mapped, and given back."""
KEPT = 2**31 - 1
"""Bytes at the heap's end, the most that mallopt takes."""


def keep_freed_memory() -> None:
    """For the rest of this process."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, MAPPED_FROM)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)

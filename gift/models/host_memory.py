"""A process that computes on a CPU keeps the memory that its tensors no longer use, for those of the next layer.

A tensor that is larger than a fraction of a megabyte is otherwise mapped when it is made and unmapped when it is gone,
and the kernel clears each of its pages anew: up to a quarter of the processor time of a step. What a process holds
between its peaks is then what its layers needed at the last one. Tensors of whole models are still given back: in the
holes that they leave among smaller ones the next such tensor finds no room, so that a heap with them grows with every
step (SmolLM2-135M: from 5 to 12 GB in five).

glibc only; elsewhere it has no effect. Imports no other room.
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""malloc.h's numbers; see mallopt(3)."""
MAPPED_FROM = 2**25
"""Bytes: what is as large is still mapped, and given back; the most that every glibc takes."""
KEPT = 2**31 - 1
"""Bytes at the heap's end, the most that mallopt takes."""


def keep_freed_memory() -> None:
    """For the rest of this process."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, MAPPED_FROM)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT)

"""The memory of a process that computes on a CPU: kept for the next layer's tensors, and in large pages.

Kept: a tensor that is larger than a fraction of a megabyte is otherwise mapped when it is made and unmapped when it is
gone, and the kernel clears each of its pages anew: up to a quarter of the processor time of a step. What a process
holds between its peaks is then what its layers needed at the last one. Tensors of whole models are still given back: in
the holes that they leave among smaller ones the next such tensor finds no room, so that a heap with them grows with
every step (SmolLM2-135M: from 5 to 12 GB in five).

In large pages: those tensors, and all others of megabytes, would still take thousands of pages of 4 kB, each a fault of
its own, and a product of matrices needs more of their addresses than a processor remembers.

The one is glibc's, the other Linux's, where it is not switched off; elsewhere they have no effect. Imports no other
room.
"""

import ctypes
import os

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


def use_large_pages() -> None:
    """For the rest of this process, and those that it starts: tensors from 2 MB on have pages of 2 MB.

    To be called before torch makes a tensor; it looks only then.
    """
    os.environ["THP_MEM_ALLOC_ENABLE"] = "1"

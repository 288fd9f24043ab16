"""A model's weights in portions, on their way to who loads them: so many bytes at a time, and no block is cut.

A block is a layer of the decoder, or a module outside of one. Engines fuse the weights of a layer (queries, keys and
values), and take over nothing of what comes without the rest.
"""

import re
from collections.abc import Sequence
from itertools import groupby

PORTION_BYTES = 2**30
"""What an engine beside a rank is handed at a time, and what a file holds; a larger block is a portion of its own."""
LAYER = re.compile(r".*?\.\d+(?=\.)")


def plan_portions(tensors: Sequence[tuple[str, int]], most: float) -> list[int]:
    """Names and bytes of a model's tensors → how many of them, in this order, make each portion."""
    counts, size = [0], 0
    for _, block in groupby(tensors, key=lambda tensor: _block_of(tensor[0])):
        sizes = [tensor_bytes for _, tensor_bytes in block]
        if counts[-1] and size + sum(sizes) > most:
            counts.append(0)
            size = 0
        counts[-1] += len(sizes)
        size += sum(sizes)
    return counts


def _block_of(name: str) -> str:
    """`model.layers.3.mlp.up_proj.weight` → `model.layers.3`, `lm_head.weight` → `lm_head`."""
    layer = LAYER.match(name)
    return layer[0] if layer else name.rpartition(".")[0]

"""Which examples a step sees: every epoch is a new shuffle, decided by the seed alone."""

import random
from functools import lru_cache


def batch_indices(size: int, batch_size: int, step: int, seed: int) -> list[int]:
    """Positions (of `size` examples) in the batch of `step`, counted from 0; a batch may span two epochs."""
    start = step * batch_size
    return [_epoch_order(size, index // size, seed)[index % size] for index in range(start, start + batch_size)]


@lru_cache(maxsize=2)
def _epoch_order(size: int, epoch: int, seed: int) -> list[int]:
    order = list(range(size))
    random.Random(f"{seed}/{epoch}").shuffle(order)
    return order

"""Which examples a step sees: every epoch is a new shuffle, decided by the seed alone."""

import hashlib
import random
from collections.abc import Iterator
from functools import lru_cache
from itertools import count


def batch_indices(size: int, batch_size: int, step: int, seed: int) -> list[int]:
    """Positions (of `size` examples) in the batch of `step`, counted from 0; a batch may span two epochs."""
    start = step * batch_size
    return [_index(size, position, seed) for position in range(start, start + batch_size)]


def example_stream(size: int, seed: int, rank: int, ranks: int, *, start: int = 0, taken: int = 0) -> Iterator[int]:
    """This rank's examples without end: every `ranks`-th of the sequence that `batch_indices` cuts into batches.

    A rank may take as many as it needs; no two ranks get the same one in an epoch.

    Args:
        start: position in the sequence at which the first rank's stream begins.
        taken: how many of this rank's are left out.
    """
    for position in count(start + rank + taken * ranks, ranks):
        yield _index(size, position, seed)


def derived_seed(*parts: int | str) -> int:
    """A seed in [0, 2³¹) for one purpose, for example (run seed, "rollout", step, rank)."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4]) >> 1


def _index(size: int, position: int, seed: int) -> int:
    return _epoch_order(size, position // size, seed)[position % size]


@lru_cache(maxsize=2)
def _epoch_order(size: int, epoch: int, seed: int) -> list[int]:
    order = list(range(size))
    random.Random(f"{seed}/{epoch}").shuffle(order)
    return order

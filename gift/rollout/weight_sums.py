"""Whether an engine holds the weights that were sent: sums of each, which tell without bringing both together.

An update that is smaller than the noise of a number format shows in no log-probability, but in a float64 sum of the
weights. A parameter that an engine keeps in another layout (a packed copy, a sum of several) has other sums from the
beginning, and is left to the log-probabilities. Imports no vLLM, in whose processes `held_weights` runs.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

CHUNK_ELEMENTS = 2**20
"""Converted to float64 at a time."""
ROUNDING = 1e-12
"""Of float64 sums in different orders, relative to the sum of absolute values; one bf16 step in 10⁹ weights is more."""


class WeightSum(NamedTuple):
    """Of one tensor; those of parts of a tensor add up to its own."""

    total: float
    """Σ w"""
    squares: float
    """Σ w²: two changes that cancel in one of both do not in the other."""
    elements: int


Sums = Mapping[str, WeightSum]
"""By the names in a checkpoint."""


def weight_sum(tensor: Tensor) -> WeightSum:
    """On the tensor's device, without a copy of it as a whole."""
    total, squares = (torch.zeros((), dtype=torch.float64, device=tensor.device) for _ in range(2))
    for chunk in torch.split(tensor.detach().reshape(-1), CHUNK_ELEMENTS):
        values = chunk.double()
        total += values.sum()
        squares += values.dot(values)
    return WeightSum(float(total), float(squares), tensor.numel())


def add_sums(sums: Sequence[WeightSum]) -> WeightSum:
    return WeightSum(
        sum(one.total for one in sums), sum(one.squares for one in sums), sum(one.elements for one in sums)
    )


class HeldWeight(NamedTuple):
    """One parameter of an engine."""

    name: str
    made_of: tuple[str, ...]
    """Names in a checkpoint: vLLM keeps queries, keys and values as one."""
    sums: WeightSum
    copies: int
    """Processes that the sums are of: each has a part of the parameter, or all of it."""

    def is_what(self, sent: Sums) -> bool:
        """Whether it is what was sent."""
        if not all(name in sent for name in self.made_of):
            return False
        expected = add_sums([sent[name] for name in self.made_of])
        return _same(self.sums, expected, 1) or _same(self.sums, expected, self.copies)


def _same(held: WeightSum, expected: WeightSum, copies: int) -> bool:
    absolute = math.sqrt(held.squares * held.elements)  # at least Σ |w|
    return (
        abs(held.total - copies * expected.total) <= ROUNDING * absolute
        and abs(held.squares - copies * expected.squares) <= ROUNDING * held.squares
    )


def held_weights(worker: Any) -> list[HeldWeight]:
    """What a vLLM worker (`collective_rpc` calls this in each) holds; on CPU, packed weights are out of sight."""
    model = worker.get_model()
    parts = getattr(model, "packed_modules_mapping", {})
    return [
        HeldWeight(name, _made_of(name, parts), weight_sum(parameter), 1)
        for name, parameter in model.named_parameters()
        if parameter.numel()
    ]


def _made_of(name: str, parts: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """`layers.0.self_attn.qkv_proj.weight` → the same of `q_proj`, `k_proj` and `v_proj`."""
    owner, _, kind = name.rpartition(".")
    above, _, module = owner.rpartition(".")
    return tuple(f"{above}.{part}.{kind}" for part in parts[module]) if module in parts else (name,)


def over_workers(held: Sequence[Sequence[HeldWeight]]) -> list[HeldWeight]:
    """Of an engine that is spread over several workers, whose parameters have the same names in the same order."""
    return [
        HeldWeight(same[0].name, same[0].made_of, add_sums([one.sums for one in same]), len(same))
        for same in zip(*held, strict=True)
    ]

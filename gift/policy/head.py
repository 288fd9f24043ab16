"""The model's head and log softmax in one, some words at a time: nothing of size tokens × vocabulary is ever kept.

    log p_t = z_t[y_t] − log Σ_v exp z_t[v],   z = hidden · Wᵀ / temperature

The sums over the vocabulary grow block by block, each relative to the largest logit so far. The backward pass computes
a block's logits again, and from them both gradients: with g the loss's gradient with respect to log p, that of z is
g·(1[v = y] − p). A block's logits stay in a CPU's cache, which is worth more than the product that is done twice, and
each row of the head is read, and its gradient written, once. The twin in the tests is torch's own log_softmax.

Left out: heads with a bias or with functions of the logits (soft caps, scales); models that have them are not packed.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

BLOCK_LOGITS = {"cpu": 2**21, "cuda": 2**27}
"""How many logits exist at a time, by kind of device."""
BLOCK_WORDS = 64
"""A block has a multiple of so many words, and at least that: a CPU takes half as long again for products as wide as it
comes."""


class _Sums(NamedTuple):
    """Over the words so far, (S,) each."""

    largest: Tensor
    """m, the largest logit."""
    exponentials: Tensor
    """Σ exp(z − m)"""
    weighted: Tensor
    """Σ exp(z − m) · (z − m)"""


def head_log_probabilities(
    hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float, exact_logits: bool = False
) -> tuple[Tensor, Tensor]:
    """(S, h) hidden states, (V, h) head and (S,) ids → log p of the ids and the entropy of p in nats: (S,) each.

    Both are float32, or more precise where the hidden states are; the entropy carries no gradient.

    Args:
        exact_logits: multiply in float32, whatever the number format of the model; else its own products are rounded
            to that format, as in the model's own forward pass.
    """
    scores: tuple[Tensor, Tensor] = _Head.apply(hidden, weight, targets, temperature, exact_logits)  # type: ignore[no-untyped-call]
    return scores


class _Head(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float, exact_logits: bool
    ) -> tuple[Tensor, Tensor]:
        chosen = hidden.new_zeros(len(hidden), dtype=torch.promote_types(hidden.dtype, torch.float32))
        sums = _Sums(*(torch.full_like(chosen, start) for start in (-torch.inf, 0.0, 0.0)))
        for block in _blocks(hidden, weight):
            logits = _logits(hidden, _factors(weight[block], exact_logits), temperature)  # (S, words)
            places, within = _places(targets, block)
            chosen = torch.where(within, logits.gather(1, places).squeeze(1), chosen)
            sums = _with_block(sums, logits)
        log_sums = sums.exponentials.log() + sums.largest
        entropies = sums.exponentials.log() - sums.weighted / sums.exponentials
        ctx.save_for_backward(hidden, weight, targets, log_sums)
        ctx.temperature, ctx.exact_logits = temperature, exact_logits
        ctx.mark_non_differentiable(entropies)
        return chosen - log_sums, entropies

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, targets, log_sums = ctx.saved_tensors
        slope = gradients[0] / ctx.temperature  # (S,)
        hidden_gradient = torch.zeros_like(hidden, dtype=log_sums.dtype) if ctx.needs_input_grad[0] else None
        weight_gradient = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        for block in _blocks(hidden, weight):
            factors = _factors(weight[block], ctx.exact_logits)
            logits = _logits(hidden, factors, ctx.temperature)
            gradient = logits.sub_(log_sums[:, None]).exp_().mul_(-slope[:, None])
            places, within = _places(targets, block)
            gradient = gradient.scatter_add_(1, places, (slope * within)[:, None]).to(factors.dtype)  # (S, words)
            if hidden_gradient is not None:
                _add_product(hidden_gradient, gradient, factors)
            if weight_gradient is not None:
                weight_gradient[block] = gradient.T @ hidden.to(factors.dtype)
        return None if hidden_gradient is None else hidden_gradient.to(hidden.dtype), weight_gradient, None, None, None


def _with_block(sums: _Sums, logits: Tensor) -> _Sums:
    """The sums with one more block, whose (S, words) logits are overwritten."""
    largest = torch.maximum(sums.largest, logits.amax(dim=1))
    shifted = logits.sub_(largest[:, None])
    exponentials = shifted.exp()
    of_block = exponentials.sum(dim=1)
    weighted = exponentials.mul_(shifted).sum(dim=1)
    down = (sums.largest - largest).clamp_min(torch.finfo(logits.dtype).min)  # not −∞, of which 0 times is no number
    former = sums.exponentials * down.exp()
    return _Sums(largest, of_block + former, weighted + sums.weighted * down.exp() + former * down)


def _places(targets: Tensor, block: slice) -> tuple[Tensor, Tensor]:
    """(S, 1) where in the block the ids are, and (S,) whether they are there at all; else the place is any."""
    places = targets - block.start
    width = block.stop - block.start
    return places.clamp(0, width - 1)[:, None], (places >= 0) & (places < width)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left @ right; in one pass where all have one number format."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right


def _blocks(hidden: Tensor, weight: Tensor) -> Iterator[slice]:
    """Of the vocabulary."""
    words = BLOCK_WORDS * max(1, BLOCK_LOGITS[hidden.device.type] // (BLOCK_WORDS * max(1, len(hidden))))
    return (slice(start, min(start + words, len(weight))) for start in range(0, len(weight), words))


def _factors(weight: Tensor, exact_logits: bool) -> Tensor:
    """Rows of the head as they are multiplied."""
    return weight.to(torch.promote_types(weight.dtype, torch.float32)) if exact_logits else weight


def _logits(hidden: Tensor, factors: Tensor, temperature: float) -> Tensor:
    """(S, h) → (S, words), at least float32, in memory of its own."""
    logits = hidden.to(factors.dtype) @ factors.T
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits if temperature == 1.0 else logits.div_(temperature)

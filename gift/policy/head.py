"""The model's head and log softmax in one, a few tokens at a time: nothing of size tokens × vocabulary is ever kept.

    log p_t = z_t[y_t] − log Σ_v exp z_t[v],   z = hidden · Wᵀ / temperature

The backward pass computes a chunk's logits again, and from them both gradients: with g the loss's gradient with respect
to log p, that of z is g·(1[v = y] − p). A chunk's logits stay in a CPU's cache, which is worth more than the product
that is done twice. The twin in the tests is torch's own log_softmax.

Left out: heads with a bias or with functions of the logits (soft caps, scales); models that have them are not packed.
"""

from typing import Any

import torch
from torch import Tensor

CHUNK = {"cpu": 128, "cuda": 1024}
"""Tokens whose logits exist at a time, by kind of device."""


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
        factors = _factors(weight, exact_logits)
        precise = torch.promote_types(hidden.dtype, torch.float32)
        log_probabilities, log_sums, entropies = (hidden.new_empty(len(hidden), dtype=precise) for _ in range(3))
        for chunk in _chunks(hidden):
            logits = _logits(hidden[chunk], factors, temperature)  # (C, V)
            chosen = logits.gather(1, targets[chunk, None]).squeeze(1)
            largest = logits.amax(dim=1, keepdim=True)
            shifted = logits.sub_(largest)
            exponentials = shifted.exp()
            sums = exponentials.sum(dim=1)
            entropies[chunk] = sums.log() - exponentials.mul_(shifted).sum(dim=1) / sums
            log_sums[chunk] = sums.log() + largest.squeeze(1)
            log_probabilities[chunk] = chosen - log_sums[chunk]
        ctx.save_for_backward(hidden, weight, targets, log_sums)
        ctx.temperature, ctx.exact_logits = temperature, exact_logits
        ctx.mark_non_differentiable(entropies)
        return log_probabilities, entropies

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, targets, log_sums = ctx.saved_tensors
        factors = _factors(weight, ctx.exact_logits)
        slope = gradients[0] / ctx.temperature  # (S,)
        hidden_gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        precise = log_sums.dtype
        weight_gradient = torch.zeros_like(weight, dtype=precise) if ctx.needs_input_grad[1] else None
        for chunk in _chunks(hidden):
            logits = _logits(hidden[chunk], factors, ctx.temperature)
            gradient = logits.sub_(log_sums[chunk, None]).exp_().mul_(-slope[chunk, None])
            gradient.scatter_add_(1, targets[chunk, None], slope[chunk, None])  # (C, V)
            gradient = gradient.to(factors.dtype)
            if hidden_gradient is not None:
                hidden_gradient[chunk] = (gradient @ factors).to(hidden.dtype)
            if weight_gradient is not None:
                _add_product(weight_gradient, gradient.T, hidden[chunk].to(factors.dtype))
        return hidden_gradient, None if weight_gradient is None else weight_gradient.to(weight.dtype), None, None, None


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left @ right; in one pass where all have one number format."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right


def _chunks(hidden: Tensor) -> list[slice]:
    size = CHUNK[hidden.device.type]
    return [slice(start, start + size) for start in range(0, len(hidden), size)]


def _factors(weight: Tensor, exact_logits: bool) -> Tensor:
    """The head as it is multiplied."""
    return weight.to(torch.promote_types(weight.dtype, torch.float32)) if exact_logits else weight


def _logits(hidden: Tensor, factors: Tensor, temperature: float) -> Tensor:
    """(C, h) → (C, V), at least float32, in memory of its own."""
    logits = hidden.to(factors.dtype) @ factors.T
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits if temperature == 1.0 else logits.div_(temperature)

"""Attention for bf16 on CPU: a generated token reads the cached keys and values once.

transformers copies each key and value head for all its query heads before it multiplies, so that a generated token
spends most of its time copying the cache, and torch's fused bf16 kernel is slower still. Here the query heads of a
group are stacked instead, and nothing is copied. Whole sequences go to the fused kernel, which keeps no T × T matrix
for the backward pass. GPUs have better kernels: this is not for them.

Left out: dropout, sliding windows and attention sinks; a model that asks for one is refused.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, eager_mask

GROUPED_ATTENTION = "gift_grouped"


def grouped_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention.

    Args:
        module: the attention layer.
        query: (B, H, T, D) with H a multiple of K; the query heads of a key head are neighbours.
        key: (B, K, S, D)
        value: (B, K, S, D)
        attention_mask: (B, 1, T, S), added to the scores; None is causal.
        scaling: factor on the scores.
        dropout: must be 0.
        options: what else transformers passes; a window or sinks must be None.

    Returns:
        (B, T, H, D), and no attention weights.

    Raises:
        ValueError: the model asks for what is left out here.
    """
    if dropout or options.get("sliding_window") is not None or options.get("s_aux") is not None:
        raise ValueError("grouped attention has no dropout, sliding window or sinks; use the attention 'eager'")
    if query.shape[2] > 1:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
        return output, None
    batch, heads, _, width = query.shape
    key_heads, keys = key.shape[1], key.shape[2]
    grouped = query.view(batch, key_heads, -1, width)  # (B, K, H/K, D): T is 1
    scores = grouped @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask[..., :keys]  # (B, 1, 1, S)
    weights = scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    return (weights @ value).view(batch, 1, heads, width), None


AttentionInterface.register(GROUPED_ATTENTION, grouped_attention)
AttentionMaskInterface.register(GROUPED_ATTENTION, eager_mask)

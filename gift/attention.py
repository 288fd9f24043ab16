"""Grouped-query attention that reads keys and values once, for bf16 on CPU.

transformers copies each key and value head for all its query heads before it multiplies; a generated token then spends
most of its time copying the cache. torch's fused bf16 kernel is slower still on CPU. Here the query heads of a group
are stacked instead, and nothing is copied. GPUs have better kernels: this is not for them.

Left out: dropout, sliding windows and attention sinks; a model that asks for one is refused.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

GROUPED_ATTENTION = "gift_grouped"


def grouped_attention(
    _module: nn.Module,
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
        _module: the attention layer; not used.
        query: (B, H, T, D) with H a multiple of K; the query heads of a key head are neighbours.
        key: (B, K, S, D)
        value: (B, K, S, D)
        attention_mask: (B, 1, T, S), added to the scores; None attends to everything.
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
    batch, heads, length, width = query.shape
    key_heads, keys = key.shape[1], key.shape[2]
    grouped = query.reshape(batch, key_heads, -1, width)  # (B, K, H/K · T, D)
    scores = (grouped @ key.transpose(2, 3) * scaling).view(batch, key_heads, -1, length, keys)
    if attention_mask is not None:
        scores = scores + attention_mask[:, :, None, :, :keys]
    weights = scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    output = weights.view(batch, key_heads, -1, keys) @ value  # (B, K, H/K · T, D)
    return output.view(batch, heads, length, width).transpose(1, 2).contiguous(), None


AttentionInterface.register(GROUPED_ATTENTION, grouped_attention)
AttentionMaskInterface.register(GROUPED_ATTENTION, eager_mask)

"""Attention as the caller tells it, and for bf16 on CPU: a generated token reads the cached keys and values once.

Models of `FAMILIES` attend through one of two functions that are registered here. Both let a caller who laid its tokens
out in its own way (`gift.policy.packing`) say who attends to whom, with the model's argument `packed`.

transformers copies each key and value head for all its query heads before it multiplies, so that a generated token
spends most of its time copying the cache, and torch's fused bf16 kernel is slower still. Here the query heads of a
group are stacked instead, and nothing is copied. Whole sequences go to the fused kernel, which keeps no T × T matrix
for the backward pass. GPUs have better kernels: this is not for them.

Left out: dropout, sliding windows and attention sinks; a model that asks for one is refused.
"""

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PretrainedConfig, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, eager_mask, sdpa_mask

PLAIN_ATTENTION = "gift_plain"
GROUPED_ATTENTION = "gift_grouped"
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "smollm3")
"""`model_type` of the models whose layers hand everything about attention to the registered function."""


class PackedTokens(Protocol):
    """Tokens in a caller's own order, who knows who attends to whom."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """(1, H, T, D) queries, (1, K, T, D) keys and values, H a multiple of K → (1, T, H, D)."""
        ...


def fitting_attention(config: PretrainedConfig, *, grouped: bool) -> str | None:
    """The implementation for a model; None leaves it to transformers.

    Args:
        grouped: rather the one that generates fast in bf16 on a CPU.
    """
    text = config.get_text_config()
    if getattr(text, "attn_logit_softcapping", None):
        return "eager"  # the others leave it out
    windows = set(getattr(text, "layer_types", None) or ()) - {"full_attention"} or getattr(
        text, "sliding_window", None
    )
    if text.model_type not in FAMILIES or windows or getattr(text, "attention_dropout", 0.0):
        return None
    return GROUPED_ATTENTION if grouped else PLAIN_ATTENTION


def attends_as_told(model: PreTrainedModel) -> bool:
    """Whether the model's layers pay attention to `packed`."""
    return model.config.get_text_config()._attn_implementation in (PLAIN_ATTENTION, GROUPED_ATTENTION)


def plain_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    packed: PackedTokens | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """transformers' own `sdpa`, but for `packed`; arguments and results are those of `grouped_attention`."""
    if packed is not None:
        return packed.attend(query, key, value, scaling), None
    output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    return output, None


def grouped_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    packed: PackedTokens | None = None,
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
        packed: says who attends to whom, in place of the mask.
        options: what else transformers passes; a window or sinks must be None.

    Returns:
        (B, T, H, D), and no attention weights.

    Raises:
        ValueError: the model asks for what is left out here.
    """
    if dropout or options.get("sliding_window") is not None or options.get("s_aux") is not None:
        raise ValueError("grouped attention has no dropout, sliding window or sinks; use the attention 'eager'")
    if packed is not None:
        return packed.attend(query, key, value, scaling), None
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


AttentionInterface.register(PLAIN_ATTENTION, plain_attention)
AttentionMaskInterface.register(PLAIN_ATTENTION, sdpa_mask)
AttentionInterface.register(GROUPED_ATTENTION, grouped_attention)
AttentionMaskInterface.register(GROUPED_ATTENTION, eager_mask)

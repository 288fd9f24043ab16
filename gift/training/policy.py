"""The policy as it is trained, and its log-probabilities: the one forward pass that policy and reference share.

Both sides of the implicit reward Σ log π_θ − log π_ref come from this function, with the same number format and
temperature; a sampling engine's own log-probabilities are never mixed in.

Left out: packing, shared-prompt forward passes and fused kernels.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from gift.config import ComputeConfig
from gift.models.loading import load_model, torch_dtype
from gift.rollout.rollouts import Rollouts


def trainable_model(folder: Path, compute: ComputeConfig, device: torch.device) -> PreTrainedModel:
    """The model of a folder with float32 weights, as `gift.training.engine.build_engine` takes it."""
    model = load_model(folder, torch.float32, torch_dtype(compute.precision), device)
    if compute.activation_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model


def response_log_probabilities(model: nn.Module, rollouts: Rollouts, temperature: float) -> Tensor:
    """log π(y_t | x, y_<t) of each response token at the sampling temperature: (B, R) float32 or
    more precise, 0 where masked."""
    ids = torch.cat([rollouts.prompt_ids, rollouts.response_ids], dim=1)  # (B, P + R)
    mask = torch.cat([rollouts.prompt_mask, rollouts.response_mask], dim=1)
    positions = (mask.cumsum(dim=1) - 1).clamp_min(0)
    length = rollouts.response_ids.shape[1]
    # Logits are by far the largest tensor: only the positions that predict response tokens are computed.
    logits = model(
        input_ids=ids,
        attention_mask=mask.long(),
        position_ids=positions,
        logits_to_keep=length + 1,
        use_cache=False,
    ).logits[:, :-1]  # (B, R, V)
    log_probabilities = token_log_probabilities(logits, rollouts.response_ids, temperature)
    return torch.where(rollouts.response_mask, log_probabilities, 0.0)


def token_log_probabilities(logits: Tensor, ids: Tensor, temperature: float = 1.0) -> Tensor:
    """(B, T, V) logits and (B, T) ids → log softmax of the chosen tokens, (B, T), at least float32.

    Row by row, and again in the backward pass: a float32 copy of all logits would be most of a rank's memory.
    """
    rows = [
        checkpoint(_log_softmax_at, row_logits, row_ids, temperature, use_reentrant=False)
        for row_logits, row_ids in zip(logits, ids, strict=True)
    ]
    return torch.stack(rows)


def _log_softmax_at(logits: Tensor, ids: Tensor, temperature: float) -> Tensor:
    """(T, V), (T,) → (T,)."""
    scaled = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    chosen: Tensor = scaled.gather(-1, ids[:, None]).squeeze(-1)
    return chosen - scaled.logsumexp(dim=-1)

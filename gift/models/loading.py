"""Models and tokenizers from the folders that `write_base_model` and the conversion write.

Code of a model's repository is never run, and no pickle is read.
"""

from pathlib import Path
from typing import Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from gift.errors import GiftError
from gift.models.attention import fitting_attention
from gift.models.host_memory import keep_freed_memory
from gift.models.reading import count_language_model, read_config, read_language_model, read_tokenizer

# Bars of a second or less would drown the stage's own lines.
transformers_logging.disable_progress_bar()


def torch_dtype(precision: Literal["fp32", "bf16"]) -> torch.dtype:
    """The number format that a configuration names."""
    return torch.bfloat16 if precision == "bf16" else torch.float32


def load_model(folder: Path, weights: torch.dtype, computes_in: torch.dtype, device: torch.device) -> PreTrainedModel:
    """A causal language model from a folder that `write_base_model` or the conversion wrote, on the CPU.

    A process that will compute there keeps, from here on, the memory that it frees (`gift.models.host_memory`).

    Args:
        weights: number format of the parameters.
        computes_in: number format of its forward passes, where the caller changes the weights' later (DeepSpeed does).
        device: where it will run.

    Raises:
        GiftError: the folder does not hold exactly the weights of a causal language model.
    """
    if device.type == "cpu":
        keep_freed_memory()
    grouped = device.type == "cpu" and computes_in is torch.bfloat16  # where it is the fastest
    model = read_language_model(
        folder, dtype=weights, attn_implementation=fitting_attention(read_config(folder), grouped=grouped)
    )
    if computes_in is not weights:
        _convert_buffers(model, count_language_model(folder, computes_in))
    return model


def _convert_buffers(model: PreTrainedModel, like: PreTrainedModel) -> None:
    """Buffers in the number formats of another model's: DeepSpeed changes those of parameters alone, and what selects
    experts for the policy must be what selects them for its reference."""
    formats = {name: buffer.dtype for name, buffer in like.named_buffers()}
    for name, buffer in model.named_buffers():
        buffer.data = buffer.data.to(formats[name])


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder.

    Raises:
        GiftError: it can't be loaded, or has no end-of-sequence token.
    """
    tokenizer = read_tokenizer(folder)
    if tokenizer.eos_token_id is None:
        raise GiftError(f"the tokenizer in {folder} has no end-of-sequence token; set one before training")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer

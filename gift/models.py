"""The base model of a run as a Hugging Face folder: made from scratch, or from a package, the hub or a folder.

Whatever the source, the folder that later stages read holds safetensors, config.json, generation_config.json and a
tokenizer with an end-of-sequence and a padding token. Code of the model's repository is never run, and no pickle is
read.
"""

import shutil
from pathlib import Path
from typing import Literal

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from gift.architecture import check_architecture
from gift.attention import GROUPED_ATTENTION
from gift.config import FolderModel, HubModel, PackageModel, RunConfig, ScratchModel
from gift.data.problems import Problem, completion_text, prompt_text
from gift.data.tokenizer import train_tokenizer
from gift.errors import GiftError
from gift.hub import MODEL_FILES
from gift.mirror import fetch_model
from gift.preflight import check_model, package_file

# Bars of a second or less would drown the stage's own lines.
transformers_logging.disable_progress_bar()


def write_base_model(config: RunConfig, demonstrations: list[Problem], destination: Path) -> None:
    """Write the base model of a run into the empty folder `destination`.

    Args:
        config: its model, and for a model from scratch its seed and prompt.
        demonstrations: the texts, in the run's prompt, that a new tokenizer is trained on.

    Raises:
        GiftError: the model is not to be had, or its architecture is not the one that the configuration states.
    """
    match config.model:
        case ScratchModel() as model:
            _save(*_from_scratch(model, demonstrations, config.prompt, config.seed), destination)
        case PackageModel() as model:
            _save(*_from_gguf(package_file(model)), destination)
        case HubModel() as model:
            fetch_model(config, model, destination)
        case FolderModel() as model:
            check_model(model)
            for path in model_files(model):
                shutil.copy(path, destination)
    check_architecture(config.model, destination)


def model_files(config: FolderModel) -> list[Path]:
    """The files of a model folder that a run takes; in particular no pickled weights and no code."""
    return sorted(path for pattern in MODEL_FILES for path in config.path.glob(pattern))


def torch_dtype(precision: Literal["fp32", "bf16"]) -> torch.dtype:
    """The number format that a configuration names."""
    return torch.bfloat16 if precision == "bf16" else torch.float32


def load_model(folder: Path, weights: torch.dtype, computes_in: torch.dtype, device: torch.device) -> PreTrainedModel:
    """A causal language model from a folder that `write_base_model` or the conversion wrote, on the CPU.

    Args:
        weights: number format of the parameters.
        computes_in: number format of its forward passes, where the caller changes the weights' later (DeepSpeed does).
        device: where it will run.
    """
    grouped = device.type == "cpu" and computes_in is torch.bfloat16  # where it is the fastest
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=weights,
        trust_remote_code=False,
        use_safetensors=True,
        attn_implementation=GROUPED_ATTENTION if grouped else "sdpa",
    )
    return model


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder.

    Raises:
        GiftError: it has no end-of-sequence token.
    """
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if tokenizer.eos_token_id is None:
        raise GiftError(f"the tokenizer in {folder} has no end-of-sequence token; set one before training")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _from_scratch(
    config: ScratchModel, demonstrations: list[Problem], template: str, seed: int
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    texts = (prompt_text(p.question, template) + completion_text(p.answer) for p in demonstrations)
    tokenizer = train_tokenizer(texts, config.vocabulary_size)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.layers,
            num_attention_heads=config.attention_heads,
            num_key_value_heads=config.attention_heads,
            max_position_embeddings=config.context_length,
            initializer_range=config.initializer_range,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    return model, tokenizer


def _from_gguf(file: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    quantised = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    # A de-quantised GGUF model refuses to be saved; a fresh model of the same configuration does not.
    config = AutoConfig.for_model(**{**quantised.config.to_dict(), "quantization_config": None})
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(quantised.state_dict())
    return model, tokenizer


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, destination: Path) -> None:
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    model.save_pretrained(destination)
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.save_pretrained(destination)

"""The base model of a run as a Hugging Face folder: made from scratch, or from a package, the hub or a folder.

Whatever the source, the folder that later stages read holds safetensors, config.json, generation_config.json and a
tokenizer with an end-of-sequence and a padding token. Code of the model's repository is never run, and no pickle is
read. Left out: reading such a folder (`gift.models.loading`).
"""

import shutil
from pathlib import Path

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

from gift.config import FolderModel, HubModel, PackageModel, RunConfig, ScratchModel
from gift.data.problems import Problem, completion_text, prompt_text
from gift.data.tokenizer import train_tokenizer
from gift.hub.download import MODEL_FILES
from gift.hub.mirror import fetch_model
from gift.models.architecture import check_architecture
from gift.models.sources import check_model, package_file


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

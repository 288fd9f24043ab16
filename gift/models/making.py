"""Models that are made here: a Llama from scratch with a tokenizer of its own, and full weights out of a GGUF file."""

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
from transformers.utils import logging as transformers_logging

from gift.config import ScratchModel
from gift.data.problems import Problem, completion_text, prompt_text
from gift.data.tokenizer import train_tokenizer
from gift.models.reading import read_weights, refused_in_one_line

# Bars of a second or less would drown the stage's own lines.
transformers_logging.disable_progress_bar()


def make_from_scratch(
    config: ScratchModel, demonstrations: list[Problem], template: str, seed: int, destination: Path
) -> None:
    """Write a model with random weights from `seed`, and a tokenizer trained on the demonstrations in `template`."""
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
    _save(model, tokenizer, destination)


def make_from_gguf(file: Path, destination: Path) -> None:
    """Write the model and the tokenizer in `file`, de-quantised to fp32.

    Raises:
        GiftError: the file is damaged, or does not have exactly the weights of its model.
    """
    quantised = read_weights(AutoModelForCausalLM, file.parent, gguf_file=file.name, dtype=torch.float32)
    with refused_in_one_line(f"the tokenizer in {file}"):
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    # A de-quantised GGUF model refuses to be saved; a fresh model of the same configuration does not.
    config = AutoConfig.for_model(**{**quantised.config.to_dict(), "quantization_config": None})
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(quantised.state_dict())
    _save(model, tokenizer, destination)


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, destination: Path) -> None:
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    model.save_pretrained(destination)
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.save_pretrained(destination)

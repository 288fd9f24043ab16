"""A tiny Llama that vLLM's attention takes (heads of 32), and the configuration that goes with it."""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from gift.config import RunConfig, load_profile

EOS, PAD = 1, 0
ENDS = (EOS, 90)
"""What ends a response in the tests: an instruct model often has an end of its own."""


def write_model(folder: Path, *, tied: bool, intermediate_size: int = 96) -> LlamaForCausalLM:
    """A model with random weights (always the same), also on disk. Its own settings for generation must not matter."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=97,
            hidden_size=64,
            intermediate_size=intermediate_size,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=64,
            initializer_range=0.1,
            tie_word_embeddings=tied,
            bos_token_id=None,
            eos_token_id=2,
            pad_token_id=PAD,
        )
    ).eval()
    model.generation_config.update(do_sample=True, top_k=2, repetition_penalty=2.0)
    model.save_pretrained(folder)
    words = {"<eos>": EOS, "<pad>": PAD} | {str(token): token for token in range(2, 97)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<pad>"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>").save_pretrained(folder)
    return model


def vllm_config(*overrides: str) -> RunConfig:
    """The local profile with vLLM; temperature 2, prompts of at most 40 tokens and responses of 24."""
    rollout = ("engine=vllm", "temperature=2.0", "max_prompt_tokens=40", "max_new_tokens=24")
    small = ("vllm.cpu_cache_gib=0.05", "vllm.max_difference=0.001")
    return load_profile("local", (*(f"rollout.{setting}" for setting in (*rollout, *small)), *overrides))

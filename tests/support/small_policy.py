"""A random Llama of a few tokens, for what needs a policy and not what it says."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM


def small_policy(*, seed: int = 0, **settings: object) -> LlamaForCausalLM:
    """The same weights for the same seed, wide enough apart that tokens differ in probability."""
    torch.manual_seed(seed)
    shape = {
        "vocab_size": 12,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "initializer_range": 0.5,
    }
    return LlamaForCausalLM(LlamaConfig(**shape | settings))

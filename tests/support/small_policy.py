"""A random Llama of a few tokens, for what needs a policy and not what it says."""

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from gift.models.attention import PLAIN_ATTENTION


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
        "attn_implementation": PLAIN_ATTENTION,  # as `load_model` has it
    }
    return LlamaForCausalLM(LlamaConfig(**shape | settings))


def with_exact_norms(model: PreTrainedModel) -> PreTrainedModel:
    """The model with torch's own RMS norms: transformers' compute in float32, whatever the model's number format."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child).__name__.endswith("RMSNorm") and not isinstance(child, nn.RMSNorm):
                exact = nn.RMSNorm(child.weight.shape, eps=child.variance_epsilon)
                exact.weight = child.weight
                setattr(module, name, exact)
    return model

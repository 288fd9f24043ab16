"""Model folders of a few kilobytes with real weights and a tokenizer, and how to damage them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from gift.data.tokenizer import train_tokenizer

SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
TOKENIZER: PreTrainedTokenizerFast = train_tokenizer(["What is 1 + 1? It is 2."], 300)
VOCABULARY = len(TOKENIZER)
TOKENS: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "bos_token_id": None,
    "eos_token_id": TOKENIZER.eos_token_id,
    "pad_token_id": TOKENIZER.pad_token_id,
}


def llama(**settings: Any) -> LlamaForCausalLM:
    return LlamaForCausalLM(LlamaConfig(**(SIZES | TOKENS | settings)))


def qwen2(**settings: Any) -> Qwen2ForCausalLM:
    # transformers gives the tokenizer of this family a token more.
    own = {"num_key_value_heads": 2, "tie_word_embeddings": True, "vocab_size": VOCABULARY + 1}
    return Qwen2ForCausalLM(Qwen2Config(**(SIZES | TOKENS | own | settings)))


def gpt2() -> GPT2LMHeadModel:
    return GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=2, n_head=2, **TOKENS))


def gpt_neox() -> GPTNeoXForCausalLM:
    return GPTNeoXForCausalLM(GPTNeoXConfig(**SIZES, **TOKENS))


def bert() -> BertForMaskedLM:
    return BertForMaskedLM(BertConfig(**SIZES, vocab_size=VOCABULARY, pad_token_id=0))


def save(model: PreTrainedModel, folder: Path, **options: Any) -> Path:
    """The folder, with the model and `TOKENIZER`; `options` are those of `save_pretrained`."""
    model.save_pretrained(folder, **options)
    TOKENIZER.save_pretrained(folder)
    return folder


def change_weights(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    """Put what `change` makes of the weights in their place."""
    file = folder / "model.safetensors"
    weights = {name: tensor.clone() for name, tensor in load_file(file).items()}
    save_file(change(weights), file, metadata={"format": "pt"})


def change_json(folder: Path, name: str, **values: Any) -> None:
    """Set values at the top of a JSON file."""
    found = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(found | values))


def another_head(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add a head of its own."""
    embeddings = next(
        tensor for name, tensor in weights.items() if name.endswith(("embed_tokens.weight", "wte.weight"))
    )
    return weights | {"lm_head.weight": embeddings + 1}

"""What profiles take from outside, made up and tiny: public data sets and models of the hub, as the mirror has them,
and a package with a GGUF file. Names, files, columns and architectures are those of the real ones."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from shrunk_profiles import shrunk_shape
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2ForSequenceClassification,
)

from gift.config import HubModel, ModelReward, ModelShape, PackageModel, RunConfig
from gift.data.prepare import public_data
from gift.data.tokenizer import train_tokenizer
from gift.hub.mirror import model_uri, push
from gift.storage import read_manifest, upload_directory

ROWS = 24
LLAMA = ModelShape(
    layers=1, hidden_size=64, intermediate_size=96, attention_heads=2, key_value_heads=2, vocabulary_size=384
)
END_IN_GGUF = "<|endoftext|>"
CHAT = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"


def _gsm8k(number: int) -> dict[str, Any]:
    worked = f"He has 2+{number} = <<2+{number}={2 + number}>>{2 + number} of them.\n#### {2 + number}"
    return {"question": f"Tom has 2 apples and buys {number}. How many has he?", "answer": worked}


def _math(number: int) -> dict[str, Any]:
    solution = rf"We see that $x = {number} - 2$, so $x = \boxed{{{number - 2}}}$."
    problem = rf"Solve $x + 2 = {number}$ for $x$."
    return {"problem": problem, "solution": solution, "level": "Level 1", "type": "Algebra"}


def _math500(number: int) -> dict[str, Any]:
    row = _math(1000 + number)
    return row | {"answer": str(998 + number), "subject": "Algebra", "unique_id": f"test/algebra/{number}.json"}


def _aime24(number: int) -> dict[str, Any]:
    problem = rf"Find the remainder of ${number}^2$ when divided by $1000$."
    return {"id": 60 + number, "problem": problem, "solution": "Square it.", "answer": f"{number**2 % 1000:03}"}


def _dapo(number: int) -> dict[str, Any]:
    return {"problem": rf"Find ${number} + \frac{{4}}{{2}}$.", "answer": str(number + 2), "ability": "MATH"}


def _ultrafeedback(number: int, kind: str) -> dict[str, Any]:
    prompt = f"Write a {kind} line about the number {number}."
    chosen, rejected = ([{"role": "user", "content": prompt}, {"role": "assistant", "content": text}] for text in "AB")
    return {"prompt": prompt, "prompt_id": f"{kind}-{number}", "chosen": chosen, "rejected": rejected}


PUBLIC: dict[str, Callable[[int], dict[str, Any]]] = {
    "gsm8k_train": _gsm8k,
    "gsm8k_test": lambda number: _gsm8k(100 + number),
    "math_train": _math,
    "math_test": lambda number: _math(500 + number),
    "math500": _math500,
    "aime24": _aime24,
    "dapo_math_17k": _dapo,
    "ultrafeedback_train": lambda number: _ultrafeedback(number, "short"),
    "ultrafeedback_test": lambda number: _ultrafeedback(number, "long"),
}
"""Name of a public data set → its row of a number, with the columns of local copies."""


def fill_mirror(profile: RunConfig, shrunk: RunConfig) -> None:
    """Put what the shrunk run of a profile takes from the hub where it looks first."""
    with pytest.MonkeyPatch.context() as environment, tempfile.TemporaryDirectory() as folder:
        for name, row in PUBLIC.items():
            lines = (json.dumps(row(number)) for number in range(ROWS))
            Path(folder, f"{name}.jsonl").write_text("\n".join(lines))
        environment.setenv("GIFT_DATA_DIR", folder)
        missing = {data.name for data in public_data(shrunk)} - PUBLIC.keys()
        assert not missing, f"make up rows of {missing}"
        if isinstance(profile.model, HubModel):
            _store_model(profile.model, shrunk, classifies=False)
        for reward in profile.rewards:
            if isinstance(reward, ModelReward) and isinstance(reward.model, HubModel):
                _store_model(reward.model, shrunk, classifies=True)
        list(push(shrunk))


def write_package(model: PackageModel, folder: Path) -> None:
    """Write the package with its GGUF file into a folder that is on the path."""
    package = folder / model.package
    package.mkdir()
    (package / "__init__.py").touch()
    write_gguf(_model(model.architecture, classifies=False), tiny_tokenizer(), package / model.file)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    texts = [json.dumps(row(number)) for row in PUBLIC.values() for number in range(ROWS)]
    tokenizer = train_tokenizer(texts, 380)
    tokenizer.chat_template = CHAT
    return tokenizer


def _store_model(model: HubModel, shrunk: RunConfig, *, classifies: bool) -> None:
    uri = model_uri(shrunk, model)
    if read_manifest(uri) is None:
        with tempfile.TemporaryDirectory() as folder:
            _model(model.architecture, classifies=classifies).save_pretrained(folder)
            tiny_tokenizer().save_pretrained(folder)
            upload_directory(Path(folder), uri)


def _model(shape: ModelShape | None, *, classifies: bool) -> PreTrainedModel:
    """With random weights. Like those of Qwen, it has more rows of embeddings than its tokenizer has tokens."""
    shape = shrunk_shape(shape or LLAMA)
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    family = (
        (Qwen2Config, Qwen2ForCausalLM, Qwen2ForSequenceClassification)
        if shape.attention_bias
        else (LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification)
    )
    config = family[0](
        vocab_size=shape.vocabulary_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.attention_heads,
        num_key_value_heads=shape.key_value_heads,
        max_position_embeddings=8192,
        tie_word_embeddings=shape.tied_embeddings,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **({"num_labels": 1} if classifies else {}),
    )
    return family[2 if classifies else 1](config)


def write_gguf(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, file: Path) -> None:
    """A Llama with tied embeddings in 32-bit floats, with a byte-level BPE, as llama.cpp writes them."""
    config = model.config
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    _write_tokenizer(writer, tokenizer, config.vocab_size)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name != "lm_head.weight":
            writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerFast, size: int) -> None:
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    special = {tokenizer.eos_token, tokenizer.pad_token}
    kinds = [gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens]
    unused = [f"<|unused{number}|>" for number in range(size - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    # The name that transformers gives an end of its own, were there none.
    writer.add_token_list([END_IN_GGUF if token == tokenizer.eos_token else token for token in tokens] + unused)
    writer.add_token_types(kinds + [gguf.TokenType.CONTROL] * len(unused))
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_bos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)

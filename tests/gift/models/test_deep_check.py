"""What a base model is checked for before anything is trained: its weights without their values, and its tokenizer."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import MODEL_ARCH, GGUFWriter, get_tensor_name_map
from tiny_folders import SIZES, TOKENIZER, TOKENS, change_json, change_weights, gpt2, llama, qwen2, save
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
)

from gift.config import PromptFormat, load_profile
from gift.errors import GiftError
from gift.models.base_model import write_base_model
from gift.models.deep_check import ModelFacts, check_model_answers, check_model_loads, check_model_positions
from gift.models.making import make_from_gguf


def test_the_facts_are_those_of_the_model(tmp_path: Path) -> None:
    save(llama().bfloat16(), tmp_path)
    rows = len(TOKENIZER)
    parameters = 2 * rows * 16 + 2 * (4 * 16 * 16 + 3 * 16 * 32 + 2 * 16) + 16
    assert check_model_loads(tmp_path) == ModelFacts(
        *("LlamaForCausalLM", parameters, 2, rows, rows),
        tied=False,
        ends=("<|eos|>",),
        chat_template=False,
        precisions=("BF16",),
    )


@pytest.mark.parametrize(("make", "tied"), [(llama, False), (qwen2, True), (gpt2, True)])
def test_tied_is_what_the_family_makes_of_the_config(tmp_path: Path, make: Callable[[], Any], tied: bool) -> None:
    assert check_model_loads(save(make(), tmp_path)).tied is tied


def test_a_chat_template_and_mixed_precisions_are_seen(tmp_path: Path) -> None:
    save(llama(), tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    change_weights(tmp_path, lambda weights: weights | {"lm_head.weight": weights["lm_head.weight"].half()})
    facts = check_model_loads(tmp_path)
    assert facts.chat_template
    assert facts.precisions == ("F32", "F16")


@pytest.mark.parametrize(
    ("template", "message"),
    [(None, "has no chat template"), ("{{ raise_exception('no system role') }}", "refuses the messages: no system")],
)
def test_a_model_that_can_not_chat_is_no_model_for_a_chat(tmp_path: Path, template: str | None, message: str) -> None:
    save(llama(), tmp_path)
    if template:
        (tmp_path / "chat_template.jinja").write_text(template)
    check_model_answers(tmp_path, PromptFormat(template="{question}"))
    with pytest.raises(GiftError, match=message):
        check_model_answers(tmp_path, PromptFormat(template="chat", system="Be brief."))


@pytest.mark.parametrize(
    ("rope", "first"),
    [
        ({"rope_type": "dynamic", "factor": 4.0}, 32),
        ({"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}, 16),
    ],
)
def test_positions_that_a_batch_decides_are_refused_beyond_those_that_it_does_not(
    tmp_path: Path, rope: dict[str, Any], first: int
) -> None:
    settings = {"rope_theta": 10000.0, "original_max_position_embeddings": 16}
    save(
        LlamaForCausalLM(LlamaConfig(**SIZES | {"max_position_embeddings": 32, "rope_parameters": rope | settings})),
        tmp_path,
    )
    check_model_positions(tmp_path, first)
    with pytest.raises(GiftError, match=f"kind {rope['rope_type']}: beyond {first} positions .* to at most {first}$"):
        check_model_positions(tmp_path, first + 1)


def test_positions_that_a_model_has_none_of_are_refused(tmp_path: Path) -> None:
    """A sequence that is longer than a table of positions would end the ranks in the middle of a training."""
    save(gpt2(), tmp_path)
    check_model_positions(tmp_path, 1024)
    with pytest.raises(GiftError, match=r"has 1,024 positions .* model\.context_length \(1,025\) to at most 1,024$"):
        check_model_positions(tmp_path, 1025)


@pytest.mark.parametrize("kind", ["default", "linear", "yarn", "llama3"])
def test_positions_that_are_the_same_in_every_batch_are_taken(tmp_path: Path, kind: str) -> None:
    rope = {"rope_type": kind, "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16}
    bands = {"low_freq_factor": 1.0, "high_freq_factor": 4.0} if kind == "llama3" else {}
    save(LlamaForCausalLM(LlamaConfig(**SIZES | {"rope_parameters": rope | bands})), tmp_path)
    check_model_positions(tmp_path, 4096)


def test_the_language_model_of_one_that_also_sees_is_taken(tmp_path: Path) -> None:
    text = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    linear = {
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    }
    kinds = {"layer_types": ["linear_attention", "full_attention"], "num_key_value_heads": 2, "head_dim": 16}
    seeing = {"hidden_size": 32, "intermediate_size": 32, "depth": 1, "num_heads": 2, "out_hidden_size": 32}
    config = Qwen3_5Config(text_config=text | linear | kinds | {"vocab_size": len(TOKENIZER)}, vision_config=seeing)
    save(Qwen3_5ForConditionalGeneration(config), tmp_path)
    facts = check_model_loads(tmp_path)
    assert (facts.architecture, facts.layers) == ("Qwen3_5ForCausalLM", 2)


def test_a_model_that_stores_whole_numbers_is_refused_before_it_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = LlamaForCausalLM.__init__

    def with_a_counter(self: LlamaForCausalLM, config: LlamaConfig) -> None:
        made(self, config)
        self.register_buffer("counter", torch.zeros(1, dtype=torch.int64))

    monkeypatch.setattr(LlamaForCausalLM, "__init__", with_a_counter)
    save(llama(), tmp_path)
    with pytest.raises(GiftError, match=r"stores counter, of torch\.int64"):
        check_model_loads(tmp_path)


def test_no_weight_is_read(tmp_path: Path) -> None:
    """A sparse file of 64 GiB, more than there is memory or disk for."""
    sizes = {"hidden_size": 2**15, "intermediate_size": 2**16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(**(TOKENS | sizes))
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    config.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    _write_sparse(tmp_path / "model.safetensors", {name: list(t.shape) for name, t in model.state_dict().items()})
    assert check_model_loads(tmp_path).parameters == sum(p.numel() for p in model.parameters()) > 10**10


def _write_gguf(file: Path, *, leave_out: str) -> None:
    """A Llama of llama.cpp with random weights and a tokenizer of single characters."""
    writer = GGUFWriter(file, "llama")
    for write, value in (
        *((writer.add_context_length, 64), (writer.add_embedding_length, 16), (writer.add_block_count, 2)),
        *((writer.add_feed_forward_length, 32), (writer.add_head_count, 2), (writer.add_head_count_kv, 2)),
        *((writer.add_layer_norm_rms_eps, 1e-5), (writer.add_vocab_size, 8), (writer.add_tokenizer_model, "gpt2")),
        *((writer.add_token_list, [*"abcde", "ab", "<|endoftext|>", "<s>"]), (writer.add_token_merges, ["a b"])),
        *((writer.add_eos_token_id, 6), (writer.add_bos_token_id, 7)),
    ):
        write(value)
    model = LlamaForCausalLM(LlamaConfig(**SIZES, vocab_size=8))
    for name, weight in model.state_dict().items():
        if (short := _gguf_name(name)) != leave_out:
            writer.add_tensor(short, weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gguf_name(name: str) -> str:
    stem, _, ending = name.rpartition(".")
    found = get_tensor_name_map(MODEL_ARCH.LLAMA, 2).get_name(stem)
    assert found is not None
    return f"{found}.{ending}"


def _write_sparse(file: Path, shapes: dict[str, list[int]]) -> None:
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + end)


def test_a_tokenizer_without_an_end_is_refused(tmp_path: Path) -> None:
    save(llama(), tmp_path)
    words = Tokenizer(WordLevel({"a": 0, "b": 1}, unk_token="a"))
    for file in tmp_path.glob("*token*"):
        file.unlink()
    PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(tmp_path)
    with pytest.raises(GiftError, match="has no end-of-sequence token"):
        check_model_loads(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"tokenizer_class": "MineTokenizer", "auto_map": {"AutoTokenizer": ["mine.T", None]}},
            "the tokenizer in .* needs code of its repository",
        ),
        (
            {"added_tokens_decoder": {"5000": {"content": "<far>", "special": True}}},
            r"the token '<far>' .* but the embeddings have rows for",
        ),
    ],
)
def test_a_tokenizer_that_can_not_be_used_is_one_line(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    save(llama(), tmp_path)
    change_json(tmp_path, "tokenizer_config.json", **values)
    with pytest.raises(GiftError, match=message):
        check_model_loads(tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        {"model": {"type": "BPE", "vocab": {"a": 0}}},
        {"pre_tokenizer": {"type": "unknown"}},
        {"added_tokens": [{"id": 0, "content": "a"}]},
    ],
)
def test_a_tokenizer_json_that_can_not_be_parsed_is_one_line(tmp_path: Path, values: dict[str, Any]) -> None:
    save(llama(), tmp_path)
    change_json(tmp_path, "tokenizer.json", **values)
    with pytest.raises(GiftError, match=r"the tokenizer in .* can't be loaded \(Exception\): "):
        check_model_loads(tmp_path)


def test_a_tokenizer_that_only_other_libraries_read_is_one_line(tmp_path: Path) -> None:
    save(llama(), tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer.model").write_bytes(b"not a model")
    with pytest.raises(
        GiftError, match=r"has no tokenizer: none of tokenizer\.json, .* load it once with AutoTokenizer"
    ) as refusal:
        check_model_loads(tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_base_model_with_missing_weights_is_refused_before_any_training(tmp_path: Path) -> None:
    source, destination = save(llama(), tmp_path / "source"), tmp_path / "destination"
    destination.mkdir()
    change_json(source, "config.json", num_hidden_layers=3)
    config = load_profile("local", (f"model={{source: folder, path: {source}, context_length: 256}}",))
    with pytest.raises(GiftError, match=r"missing: model\.layers\.2\."):
        write_base_model(config, [], destination)


def test_a_gguf_file_with_missing_weights_is_refused(tmp_path: Path) -> None:
    whole, damaged = tmp_path / "whole.gguf", tmp_path / "damaged.gguf"
    _write_gguf(whole, leave_out="")
    _write_gguf(damaged, leave_out="blk.1.attn_q.weight")
    (tmp_path / "model").mkdir()
    make_from_gguf(whole, tmp_path / "model")
    check_model_loads(tmp_path / "model")
    with pytest.raises(GiftError, match=r"damaged\.gguf does not have .* missing: model\.layers\.1\.self_attn\.q_proj"):
        make_from_gguf(damaged, tmp_path)
    damaged.write_bytes(b"GGUF" + b"\0" * 20)
    with pytest.raises(GiftError, match=r"damaged\.gguf can't be loaded"):
        make_from_gguf(damaged, tmp_path)

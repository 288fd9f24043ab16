"""No weight is made up: a model has exactly what its folder holds, or it is refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_folders import (
    SIZES,
    TOKENS,
    VOCABULARY,
    another_head,
    bert,
    change_json,
    change_weights,
    gpt2,
    gpt_neox,
    llama,
    qwen2,
    save,
)
from tokenizers import Tokenizer
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    BartConfig,
    BartForConditionalGeneration,
    Gemma2Config,
    GPTJConfig,
    MistralConfig,
    MixtralConfig,
    MixtralForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    T5Config,
    T5ForConditionalGeneration,
)

from gift.errors import GiftError
from gift.models.deep_check import check_model_loads
from gift.models.loading import load_model
from gift.models.reading import read_tokenizer

Weights = dict[str, Tensor]
NORM = "model.layers.1.input_layernorm.weight"
SEQ2SEQ = {"d_model": 16, "vocab_size": VOCABULARY, "pad_token_id": 0, "eos_token_id": 1}


def _load(folder: Path) -> PreTrainedModel:
    return load_model(folder, torch.float32, torch.float32, torch.device("cpu"))


def _refusal(folder: Path, caplog: pytest.LogCaptureFixture) -> str:
    """What loading says, which the check without the weights must say too."""
    said = []
    for read in (_load, check_model_loads):
        with pytest.raises(GiftError) as refusal:
            read(folder)
        said.append(str(refusal.value))
    assert said[0] == said[1]
    assert str(folder) in said[0]
    assert "\n" not in said[0]
    assert "LOAD REPORT" not in caplog.text
    return said[0]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers_are_named(folder: Path, value: float) -> None:
    def damage(weights: Weights) -> Weights:
        weights[NORM][3] = value
        return weights

    change_weights(folder, damage)
    with pytest.raises(GiftError, match=f"no finite numbers: {NORM}; it was damaged"):
        _load(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(llama(), tmp_path / "model")


@pytest.mark.parametrize("shards", ["1GB", "10KB"])
@pytest.mark.parametrize("make", [llama, qwen2, gpt2, gpt_neox])
def test_a_whole_model_is_what_was_saved(tmp_path: Path, make: Callable[[], Any], shards: str) -> None:
    model = make()
    save(model, tmp_path, max_shard_size=shards)
    facts = check_model_loads(tmp_path)
    loaded = _load(tmp_path)
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in model.state_dict().items())
    assert facts.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_a_missing_tensor_is_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    change_weights(folder, lambda weights: {name: tensor for name, tensor in weights.items() if name != NORM})
    assert f"that its configuration asks for; missing: {NORM}; save the model whole" in _refusal(folder, caplog)


@pytest.mark.parametrize("prefix", ["base_model.model.", "_orig_mod.", "module."])
def test_the_prefix_of_a_wrapper_is_named(folder: Path, prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    change_weights(folder, lambda weights: {prefix + name: tensor for name, tensor in weights.items()})
    assert f"the names begin with {prefix!r}, which a wrapper left" in _refusal(folder, caplog)


def test_another_number_of_layers_is_refused(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    change_json(folder, "config.json", num_hidden_layers=3)
    assert "missing: model.layers.2.input_layernorm.weight, " in (said := _refusal(folder, caplog))
    assert " and 6 more" in said
    change_json(folder, "config.json", num_hidden_layers=1)
    assert f"without a place in it: {NORM}, " in _refusal(folder, caplog)


def test_another_shape_is_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    change_weights(folder, lambda weights: weights | {NORM: torch.ones(17)})
    assert f"of another shape: {NORM} is (17,) instead of (16,)" in _refusal(folder, caplog)
    change_json(folder, "config.json", hidden_size=32)
    assert f"lm_head.weight is ({VOCABULARY}, 16) instead of ({VOCABULARY}, 32)" in _refusal(folder, caplog)


def test_an_untied_model_without_a_head_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = save(qwen2(), tmp_path)
    change_json(folder, "config.json", tie_word_embeddings=False)
    assert "missing: lm_head.weight" in _refusal(folder, caplog)


@pytest.mark.parametrize("make", [qwen2, gpt2])
def test_a_tied_model_has_one_head(tmp_path: Path, make: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    """Also where the family ties by itself and config.json says nothing, as GPT-2's."""
    folder = save(make(), tmp_path)
    embeddings = "transformer.wte.weight" if make is gpt2 else "model.embed_tokens.weight"
    change_weights(folder, lambda weights: weights | {"lm_head.weight": weights[embeddings].clone()})
    loaded = _load(folder)
    assert loaded.get_input_embeddings().weight is loaded.get_output_embeddings().weight
    assert check_model_loads(folder).parameters == sum(parameter.numel() for parameter in loaded.parameters())
    change_weights(folder, another_head)
    assert "training would use one and evaluation the other" in _refusal(folder, caplog)


def test_weights_saved_without_the_head_s_class_are_taken(tmp_path: Path) -> None:
    """transformers gives the names their prefix back, and ties the head; an untied head would be missing."""
    model = qwen2()
    folder = save(model.model, tmp_path)
    assert "embed_tokens.weight" in (folder / "model.safetensors").read_bytes()[:4096].decode("latin1")
    assert "model.embed_tokens" not in (folder / "model.safetensors").read_bytes()[:4096].decode("latin1")
    check_model_loads(folder)
    assert all(torch.equal(_load(folder).state_dict()[name], tensor) for name, tensor in model.state_dict().items())


def test_a_weight_under_two_names_is_refused(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """transformers would take the one that it reads last."""
    bare = NORM.removeprefix("model.")
    change_weights(folder, lambda weights: weights | {bare: weights[NORM] + 1})
    assert f"has {bare} and {NORM}, which are one weight" in _refusal(folder, caplog)


def test_parts_that_make_no_weight_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """transformers stacks the experts of a mixture, and tells only its log which it could not."""
    folder = save(MixtralForCausalLM(MixtralConfig(**SIZES, **TOKENS, num_local_experts=2)), tmp_path)
    expert = "model.layers.1.block_sparse_moe.experts.1.w1.weight"
    check_model_loads(folder)
    change_weights(folder, lambda weights: {name: tensor for name, tensor in weights.items() if name != expert})
    assert "has not all the parts of model.layers.1.mlp.experts.gate_up_proj" in _refusal(folder, caplog)


def test_buffers_of_old_versions_are_no_foreign_weights(tmp_path: Path) -> None:
    old = {"h.0.attn.bias": torch.ones(1, 1, 4, 4), "transformer.h.1.attn.bias": torch.ones(1, 1, 4, 4)}
    folder = save(gpt2(), tmp_path / "gpt2")
    change_weights(folder, lambda weights: weights | old)
    check_model_loads(folder)
    folder = save(llama(), tmp_path / "llama")
    change_weights(folder, lambda weights: weights | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)})
    check_model_loads(folder)
    _load(folder)


@pytest.mark.parametrize(
    "make",
    [
        bert,
        lambda: T5ForConditionalGeneration(T5Config(d_ff=32, d_kv=8, num_layers=1, num_heads=2, **SEQ2SEQ)),
        lambda: BartForConditionalGeneration(BartConfig(encoder_layers=1, decoder_layers=1, **SEQ2SEQ)),
    ],
    ids=["bert", "t5", "bart"],
)
def test_a_model_that_does_not_continue_texts_is_refused(
    tmp_path: Path, make: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert "is an encoder (" in _refusal(save(make(), tmp_path), caplog)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "nobody-knows"}, "can't be loaded .*nobody-knows"),
        ({"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}, "needs code of its repository"),
        ({"num_hidden_layers": "two"}, "can't be loaded .*num_hidden_layers"),
        ({"hidden_act": "nothing"}, "can't be loaded .*nothing"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "has quantised weights"),
    ],
)
def test_a_config_that_can_not_be_used_is_one_line(
    folder: Path, values: dict[str, Any], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    change_json(folder, "config.json", **values)
    with pytest.raises(GiftError, match=message):
        raise GiftError(_refusal(folder, caplog))


def test_code_of_a_repository_is_not_run_where_the_family_is_known(folder: Path) -> None:
    (folder / "mine.py").write_text("raise SystemExit('code was run')")
    change_json(folder, "config.json", auto_map={"AutoConfig": "mine.C", "AutoModelForCausalLM": "mine.M"})
    check_model_loads(folder)
    _load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_broken_config_is_one_line_when_it_is_loaded(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(GiftError, match=r"the model in .* can't be loaded"):
        _load(folder)


def test_damaged_and_missing_files_are_one_line_when_they_are_loaded(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(GiftError, match=r"model\.safetensors is damaged"):
        _load(folder)
    weights.unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(GiftError, match="has pickled weights only"):
        _load(folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "b.safetensors"}}))
    with pytest.raises(GiftError, match=r"has no b\.safetensors"):
        _load(folder)


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("llama", "LlamaTokenizerFast"),  # DeepSeek LLM: without its file every space is lost
        ("llama", "GPT2Tokenizer"),  # SmolLM2
        ("qwen2", "Qwen2Tokenizer"),
        ("qwen3", "LlamaTokenizerFast"),
        ("mistral", "LlamaTokenizer"),
        ("gemma2", "GemmaTokenizer"),
    ],
)
def test_a_tokenizer_is_what_its_file_says_whatever_class_is_named(tmp_path: Path, family: str, name: str) -> None:
    save(llama(), tmp_path)
    change_json(tmp_path, "config.json", model_type=family)
    change_json(tmp_path, "tokenizer_config.json", tokenizer_class=name)
    (tmp_path / "tekken.json").write_text("{}")  # Mistral's own, beside it
    text = "Tom has 3 apples.\n\n12  more:\n#### 15"
    ids = read_tokenizer(tmp_path)(text)["input_ids"]
    assert ids == Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(text).ids
    assert read_tokenizer(tmp_path).decode(ids) == text


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("family", "settings"),
    [
        (MistralConfig, {"sliding_window": 4}),
        (Qwen2Config, {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0}),
        (Gemma2Config, {"head_dim": 8, "sliding_window": 4}),
        (GPTJConfig, {"n_embd": 16, "n_layer": 2, "n_head": 2, "rotary_dim": 4, "n_positions": 64}),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_what_is_checked_also_computes(
    tmp_path: Path, family: type[PretrainedConfig], settings: dict[str, Any], dtype: torch.dtype
) -> None:
    """Windows, capped logits and families without a fused kernel have an attention that computes them."""
    torch.manual_seed(0)
    config = family(**(SIZES | TOKENS | {"num_key_value_heads": 2} | settings))
    save(AutoModelForCausalLM.from_config(config), tmp_path)
    check_model_loads(tmp_path)
    model = load_model(tmp_path, dtype, dtype, torch.device("cpu")).eval()
    exact = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32, attn_implementation="eager").eval()
    ids, rounding = torch.arange(2, 14)[None], 1e-5 if dtype is torch.float32 else 0.1
    with torch.no_grad():
        assert torch.allclose(model(ids).logits.float(), exact(ids).logits, atol=rounding)

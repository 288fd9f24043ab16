"""Whatever a family keeps in memory, its converted folder is what transformers would have saved of what was trained."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_llamas import VOCABULARY, batches, train
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from gift.config import LoraConfig
from gift.conversion.hugging_face import convert_checkpoint
from gift.models.adapter import add_adapter, plain_weights
from gift.models.reading import read_language_model, stored_state
from gift.weights.trained_weights import Fragment, write_share

LORA = LoraConfig(rank=3, alpha=7)
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "pad_token_id": 0,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
ROUTED = {
    **{"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 16},
    "first_k_dense_replace": 1,
}
LATENT = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "head_dim": 8,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "gpt_neox": {},  # published with another name for its head
    "qwen3_moe": EXPERTS,  # published expert by expert
    "apertus": {},  # stores buffers
    "glm4_moe": ROUTED,
    "deepseek_v3": LATENT | ROUTED,
}


def _model(family: str) -> PreTrainedModel:
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **SHAPE | FAMILIES[family]))
    with torch.no_grad():
        for tensor in stored_state(model).values():  # buffers, too, as a published model has its own
            tensor.add_(0.05 * torch.rand_like(tensor))
    return model.eval()


def _template(folder: Path, model: PreTrainedModel) -> Path:
    model.save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text("{}")
    return folder


def _leave(folder: Path, weights: dict[str, Tensor]) -> Path:
    folder.mkdir()
    fragments = {
        name: Fragment(tuple(tensor.shape), 0, tensor.numel(), lambda tensor=tensor: tensor.detach().flatten())
        for name, tensor in weights.items()
    }
    write_share(folder, 0, 1, fragments)
    return folder


def _convert(weights: Path, template: Path, lora: LoraConfig | None = None) -> Path:
    output = weights.with_name("model")
    convert_checkpoint(weights, template, output, precision="fp32", max_shard_bytes=2**30, lora=lora)
    return output


@torch.no_grad()
def _logits(model: PreTrainedModel) -> Tensor:
    logits: Tensor = model(input_ids=batches()[0, 0, 0]).logits
    return logits


@pytest.mark.parametrize("family", FAMILIES)
def test_the_folder_has_the_names_and_numbers_that_transformers_would_save(tmp_path: Path, family: str) -> None:
    template = _template(tmp_path / "template", _model(family))
    trained = _model(family)
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.1)
    output = _convert(_leave(tmp_path / "weights", stored_state(trained)), template)
    saved = load_file(_template(tmp_path / "saved", trained) / "model.safetensors")
    found = load_file(output / "model.safetensors")
    assert found.keys() == saved.keys()
    assert all(torch.equal(found[name], saved[name]) for name in saved)
    torch.testing.assert_close(_logits(read_language_model(output)), _logits(trained))


@pytest.mark.parametrize("family", FAMILIES)
def test_in_bf16_a_family_keeps_in_float32_what_it_reads_so(tmp_path: Path, family: str) -> None:
    template = _template(tmp_path / "template", _model(family))
    weights = _leave(tmp_path / "weights", stored_state(_model(family)))
    convert_checkpoint(weights, template, tmp_path / "model", precision="bf16", max_shard_bytes=2**30)
    read_language_model(template, dtype=torch.bfloat16).save_pretrained(tmp_path / "saved")
    saved, found = (load_file(tmp_path / name / "model.safetensors") for name in ("saved", "model"))
    assert {name: tensor.dtype for name, tensor in found.items()} == {n: tensor.dtype for n, tensor in saved.items()}
    assert all(torch.equal(found[name], saved[name]) for name in saved)


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "qwen3_moe"])
@pytest.mark.parametrize("headless", [False, True])
def test_adapters_are_merged_whatever_the_names_in_the_files(tmp_path: Path, family: str, headless: bool) -> None:
    """Some published models are saved without the class of their head, so that no name has its prefix."""
    model = _model(family)
    if headless:
        model.config.tie_word_embeddings = True
        model.tie_weights()
    template = _template(tmp_path / "template", model)
    if headless:
        (template / "model.safetensors").unlink()
        model.base_model.save_pretrained(template)
    add_adapter(model, LORA, seed=0)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    with torch.no_grad():
        for parameter in trained.values():
            parameter.add_(0.05 * torch.randn_like(parameter))
    output = _convert(_leave(tmp_path / "weights", trained), template, LORA)
    merged = {weight.name: weight.merged() for weight in plain_weights(model)}
    found = stored_state(read_language_model(output))
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, merged[name])
    torch.testing.assert_close(_logits(read_language_model(output)), _logits(model), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("zero_stage", [2, 3])
def test_a_training_leaves_the_buffers_that_its_model_stores(tmp_path: Path, zero_stage: int) -> None:
    template = _template(tmp_path / "template", _model("apertus"))
    train(tmp_path, {"case": (template, {"zero_stage": zero_stage})})
    output = _convert(tmp_path / "case/weights", template)
    engines = load_file(tmp_path / "case/logits.safetensors")["logits"]
    torch.testing.assert_close(_logits(read_language_model(output)), engines, atol=1e-5, rtol=0)

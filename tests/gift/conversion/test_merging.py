"""A converted training of adapters is the model with its adapters merged, as peft itself merges them."""

import re
from pathlib import Path

import pytest
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from gift.config import LoraConfig
from gift.conversion.hugging_face import convert_checkpoint
from gift.errors import GiftError
from gift.models.adapter import add_adapter
from gift.weights.trained_weights import Fragment, write_share

LORA = LoraConfig(rank=3, alpha=7)
ONE_SHARD = 2**30


def _template(folder: Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Two thousand columns: a piece of a weight is some of its rows, and the last one fewer."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=2048, intermediate_size=2050, num_hidden_layers=1, num_attention_heads=4
    )
    model = LlamaForCausalLM(config).to(dtype)
    model.save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text("{}")
    return model


def _trained(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Adapters as a training would leave them in `folder`: of two ranks, each with a half of every one."""
    add_adapter(model, LORA, seed=0)
    torch.manual_seed(1)
    halves: list[dict[str, Fragment]] = [{}, {}]
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter) * 0.02
            numbers, middle = parameter.data.reshape(-1), parameter.numel() // 2
            for half, part, start in zip(
                halves, numbers.split([middle, len(numbers) - middle]), (0, middle), strict=True
            ):
                half[name] = Fragment(tuple(parameter.shape), start, len(part), lambda part=part: part)
    folder.mkdir()
    for rank, half in enumerate(halves):
        write_share(folder, rank, 2, half)
    return model


def _convert(folder: Path, lora: LoraConfig | None, precision: str = "fp32") -> None:
    convert_checkpoint(
        folder / "weights",
        folder / "template",
        folder / "model",
        precision=precision,
        max_shard_bytes=ONE_SHARD,
        lora=lora,
    )


def _merged_by_peft(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            layer.merge()
    return {name.replace(".base_layer", ""): value for name, value in model.named_parameters() if ".lora_" not in name}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_the_folder_holds_what_peft_merges(tmp_path: Path, stored: torch.dtype, precision: str) -> None:
    model = _trained(_template(tmp_path / "template", stored), tmp_path / "weights")
    _convert(tmp_path, LORA, precision)
    found, expected = load_file(tmp_path / "model/model.safetensors"), _merged_by_peft(model.float())
    assert found.keys() == expected.keys()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    for name, value in expected.items():
        assert found[name].dtype == dtype
        rounding = {"rtol": 2**-7, "atol": 1e-6} if precision == "bf16" else {"rtol": 0, "atol": 1e-6}
        torch.testing.assert_close(found[name], value.to(dtype), **rounding, msg=name)
    base = load_file(tmp_path / "template/model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    assert (found[name].float() - base[name].float()).abs().mean() > 1e-4


@pytest.mark.parametrize(
    ("lora", "fault"),
    [
        (None, r"does not fit .*config\.json: .*is missing; .* more$"),
        (
            LoraConfig(rank=4),
            r"with lora\.rank 4 the adapter of model\.layers\.0\..*, which is \(.*\), can't be of the",
        ),
    ],
)
def test_adapters_are_refused_where_the_configuration_says_otherwise(
    tmp_path: Path, lora: LoraConfig | None, fault: str
) -> None:
    _trained(_template(tmp_path / "template"), tmp_path / "weights")
    with pytest.raises(GiftError, match=fault):
        _convert(tmp_path, lora)
    assert not (tmp_path / "model").exists()


def test_whole_weights_are_no_adapters(tmp_path: Path) -> None:
    _template(tmp_path / "template")
    (tmp_path / "weights").mkdir()
    write_share(tmp_path / "weights", 0, 1, {"model.norm.weight": Fragment((4,), 0, 4, lambda: torch.ones(4))})
    with pytest.raises(GiftError, match=r"weights does not hold adapters, and nothing else: it was made without lora"):
        _convert(tmp_path, LORA)


def test_a_template_in_a_format_that_can_not_be_added_to_is_named(tmp_path: Path) -> None:
    model = _template(tmp_path / "template")
    _trained(model, tmp_path / "weights")
    stored = tmp_path / "template/model.safetensors"
    save_file({name: value.to(torch.int8) for name, value in load_file(stored).items()}, stored)
    with pytest.raises(GiftError, match=re.escape(f"{stored} holds numbers of the format I8; F32, BF16, F16, F64 are")):
        _convert(tmp_path, LORA)

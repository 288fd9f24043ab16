"""Parameter counts against real models, and a stated architecture against the model that is there."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, PretrainedConfig, Qwen2Config

from gift.config import FolderModel, HubModel, ModelShape, ScratchModel, load_profile
from gift.errors import GiftError
from gift.models.architecture import check_architecture, model_shape, parameter_count, read_shape

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 211,
}


def _parameters(config: PretrainedConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in AutoModelForCausalLM.from_config(config).parameters())


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("family", [LlamaConfig, Qwen2Config, MistralConfig])
def test_the_count_is_that_of_the_real_model(family: type[PretrainedConfig], tied: bool, tmp_path: Path) -> None:
    config = family(**SIZES, tie_word_embeddings=tied)
    config.save_pretrained(tmp_path)
    shape = read_shape(tmp_path)
    assert shape is not None
    assert parameter_count(shape) == _parameters(config)


@pytest.mark.parametrize(
    ("profile", "published"),
    [
        ("deepseek-7b-gsm8k", 6_910_365_696),
        ("qwen2.5-7b-gsm8k", 7_615_616_512),
        ("qwen2.5-32b-dapo", 32_763_876_352),
        ("smollm2-gsm8k", 134_515_008),
    ],
)
def test_the_profiles_state_architectures_with_the_published_counts(profile: str, published: int) -> None:
    shape = model_shape(load_profile(profile).model)
    assert shape is not None
    assert parameter_count(shape) == published


def test_a_model_from_scratch_and_a_folder_are_known(tmp_path: Path) -> None:
    scratch = model_shape(ScratchModel(source="scratch", layers=5))
    assert scratch is not None
    assert (scratch.layers, scratch.tied_embeddings) == (5, True)
    LlamaConfig(**SIZES).save_pretrained(tmp_path)
    shape = model_shape(FolderModel(source="folder", path=tmp_path))
    assert shape is not None
    assert (shape.key_value_heads, shape.head_size) == (2, 8)


@pytest.mark.parametrize("changes", [{"model_type": "mamba"}, {"head_dim": 16}, {"mlp_bias": True}])
def test_what_the_formula_does_not_cover_is_not_known(tmp_path: Path, changes: dict[str, Any]) -> None:
    values = LlamaConfig(**SIZES).to_dict() | changes
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert read_shape(tmp_path) is None
    with pytest.raises(GiftError, match=r"model\.architecture describes decoders of the Llama family"):
        check_architecture(_hub(layers=3), tmp_path)


def test_a_stated_architecture_must_be_the_models_own(tmp_path: Path) -> None:
    LlamaConfig(**SIZES).save_pretrained(tmp_path)
    check_architecture(_hub(layers=3), tmp_path)
    with pytest.raises(GiftError, match=r"differs from the model's config\.json: layers is 3, not 4; correct it"):
        check_architecture(_hub(layers=4), tmp_path)


def test_a_folder_without_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GiftError, match=r"config\.json can't be read: No such file"):
        read_shape(tmp_path)


def _hub(layers: int) -> HubModel:
    shape = ModelShape(
        layers=layers, hidden_size=64, intermediate_size=96, attention_heads=8, key_value_heads=2, vocabulary_size=211
    )
    return HubModel(source="hub", name="org/model", revision="0" * 40, architecture=shape)

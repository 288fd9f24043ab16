"""A model in bf16 computes in float32 for a moment, with the weights that it has, and is then as it was."""

import copy

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel

from gift.config import LoraConfig
from gift.models.adapter import add_adapter
from gift.models.attention import PLAIN_ATTENTION
from gift.policy.float32 import in_float32
from gift.policy.log_probabilities import read_packed, response_log_probabilities
from gift.rollout.rollouts import Rollouts


@pytest.fixture
def model() -> PreTrainedModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.3,
        tie_word_embeddings=True,
    )
    return AutoModelForCausalLM.from_config(config, attn_implementation=PLAIN_ATTENTION).bfloat16()


@pytest.fixture
def rollouts() -> Rollouts:
    """Two groups of two responses."""
    ids = torch.randint(5, 60, (4, 9), generator=torch.Generator().manual_seed(0))
    ids[1::2, :4] = ids[::2, :4]
    mask = torch.ones_like(ids).bool()
    return Rollouts(ids[:, :4], mask[:, :4], ids[:, 4:], mask[:, 4:])


def _scores(model: nn.Module, rollouts: Rollouts) -> Tensor:
    with torch.no_grad():
        return response_log_probabilities(model, rollouts, 0.8, group_size=2)


@pytest.mark.parametrize("packed", [True, False])
def test_it_computes_what_a_wide_copy_computes(model: PreTrainedModel, rollouts: Rollouts, packed: bool) -> None:
    wide = copy.deepcopy(model).float()
    if packed:
        model, wide = read_packed(model), read_packed(wide)
    before = _scores(model, rollouts)
    with in_float32(model):
        found = _scores(model, rollouts)
    assert torch.equal(found, _scores(wide, rollouts))
    assert not torch.equal(found, before)
    assert torch.equal(_scores(model, rollouts), before)


@pytest.mark.parametrize("adapters", [torch.float32, torch.bfloat16])
def test_adapters_are_widened_with_what_they_adapt(
    model: PreTrainedModel, rollouts: Rollouts, adapters: torch.dtype
) -> None:
    model = add_adapter(model, LoraConfig(rank=2, alpha=4), seed=0)
    for name, value in model.named_parameters():
        if "lora_" in name:
            value.data = torch.randn(value.shape, generator=torch.Generator().manual_seed(2)).to(adapters)
    wide = read_packed(copy.deepcopy(model).float())
    read_packed(model)
    with in_float32(model):
        assert torch.equal(_scores(model, rollouts), _scores(wide, rollouts))


def test_the_parameters_are_the_same_objects_even_where_the_model_fails(
    model: PreTrainedModel, rollouts: Rollouts
) -> None:
    before = {name: (id(value), value.dtype, value.data_ptr()) for name, value in model.named_parameters()}
    with pytest.raises(IndexError), in_float32(model):
        model(input_ids=rollouts.prompt_ids + 10**6)
    assert {name: (id(value), value.dtype, value.data_ptr()) for name, value in model.named_parameters()} == before

"""Adapters change nothing at first, leave the model under them as it was, and merge into plain weights."""

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from gift.config import LoraConfig, ModelShape
from gift.errors import GiftError
from gift.models.adapter import add_adapter, plain_weights, without_adapter
from gift.models.architecture import adapter_count

IDS = torch.tensor([[5, 6, 7, 8]])
LORA = LoraConfig(rank=3, alpha=12)
FAMILIES = ("llama", "qwen2", "gemma2", "phi3", "gpt_neox")


def _model(family: str, **settings: object) -> PreTrainedModel:
    torch.manual_seed(0)
    shape = {
        "vocab_size": 32,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "initializer_range": 0.3,
        "pad_token_id": 0,
    }
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **shape | settings)).eval()


def _trained(model: PreTrainedModel) -> PreTrainedModel:
    """As if something had been learned."""
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(torch.randn_like(parameter) * 0.1)
    return model


@torch.no_grad()
def _logits(model: PreTrainedModel) -> Tensor:
    logits: Tensor = model(input_ids=IDS).logits
    return logits


@pytest.mark.parametrize("family", FAMILIES)
def test_a_new_adapter_changes_nothing_and_a_trained_one_can_be_taken_off(family: str) -> None:
    model = _model(family)
    before = _logits(model)
    frozen = {name: parameter.clone() for name, parameter in model.named_parameters()}
    add_adapter(model, LORA, seed=0)
    assert torch.equal(_logits(model), before)
    _trained(model)
    assert (_logits(model) - before).abs().max() > 0.1
    with without_adapter(model):
        assert torch.equal(_logits(model), before)
    assert (_logits(model) - before).abs().max() > 0.1
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained
    assert all(".lora_" in name for name in trained)
    kept = {weight.name: weight.tensor for weight in plain_weights(model)}
    assert all(torch.equal(kept[name], value) for name, value in frozen.items())


@pytest.mark.parametrize("family", FAMILIES)
def test_merged_weights_are_the_adapted_model_under_its_plain_names(family: str) -> None:
    model = _model(family)
    names = set(model.state_dict())
    _trained(add_adapter(model, LORA, seed=0)).double()
    merged = {weight.name: weight.merged() for weight in plain_weights(model)}
    assert merged.keys() == names
    plain = _model(family).double()
    plain.load_state_dict(merged)
    torch.testing.assert_close(_logits(plain), _logits(model), rtol=0, atol=1e-5)  # norms compute in float32


def test_the_seed_decides_what_adapters_begin_with_and_moves_no_other_chance() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    models = [add_adapter(_model_without_seed(), LORA, seed) for seed in (1, 1, 2)]
    assert torch.equal(torch.rand(3), expected)
    one, same, other = ([p for p in model.parameters() if p.requires_grad] for model in models)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def _model_without_seed() -> PreTrainedModel:
    with torch.random.fork_rng():
        return _model("llama")


def test_adapters_of_a_bf16_model_begin_in_float32() -> None:
    model = add_adapter(_model("llama").bfloat16(), LORA, seed=0)
    formats = {parameter.dtype for parameter in model.parameters() if parameter.requires_grad}
    assert formats == {torch.float32}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32, torch.bfloat16}


def test_the_architecture_counts_the_weights_of_adapters() -> None:
    model = add_adapter(_model("qwen2"), LORA, seed=0)
    shape = ModelShape(
        layers=2, hidden_size=32, intermediate_size=48, attention_heads=4, key_value_heads=2, vocabulary_size=32
    )
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == adapter_count(shape, LORA.rank)


def test_a_model_without_linear_layers_is_refused_in_one_line() -> None:
    config = AutoConfig.for_model("gpt2", vocab_size=32, n_embd=32, n_layer=1, n_head=4)
    with pytest.raises(GiftError, match=r"lora: this model, of model_type gpt2, has no torch\.nn\.Linear layers"):
        add_adapter(AutoModelForCausalLM.from_config(config), LORA, seed=0)


@pytest.mark.parametrize(
    ("family", "settings", "reason"),
    [
        ("mamba", {"state_size": 8}, "is refused by peft"),
        (
            "deepseek_v3",  # whose experts are no linear layers, and peft adapts them without being asked
            {
                "n_routed_experts": 4,
                "num_experts_per_tok": 2,
                "n_group": 1,
                "topk_group": 1,
                "first_k_dense_replace": 1,
            },
            "gets adapters from peft in other layers",
        ),
    ],
)
def test_what_peft_adapts_in_its_own_way_is_refused_in_one_line(
    family: str, settings: dict[str, object], reason: str
) -> None:
    with pytest.raises(GiftError, match=f"model_type {family}, {reason}") as refusal:
        add_adapter(_model(family, **settings), LORA, seed=0)
    assert "\n" not in str(refusal.value)


def test_layers_that_share_their_weights_are_refused() -> None:
    model = _model("llama")
    model.model.layers[1].mlp.up_proj = model.model.layers[0].mlp.up_proj
    with pytest.raises(GiftError, match="has layers that share their weights"):
        add_adapter(model, LORA, seed=0)


def test_a_layer_that_only_inherits_from_a_linear_one_has_no_adapter() -> None:
    """Some routers of experts return two tensors."""

    class Router(torch.nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * 2

    model = _model("llama")
    model.model.layers[0].mlp.up_proj = Router(32, 48, bias=False)
    add_adapter(model, LORA, seed=0)
    adapted = {name for name, _ in model.named_parameters() if "lora_A" in name}
    assert not any("layers.0.mlp.up_proj" in name for name in adapted)
    assert any("layers.1.mlp.up_proj" in name for name in adapted)

"""Padded rows say of a response what it is worth by itself, or the model is refused before it is trained."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, TrOCRConfig, TrOCRForCausalLM

from gift.config import ComputeConfig
from gift.data.tokens import pad_left, pad_right
from gift.errors import GiftError
from gift.policy.log_probabilities import trainable_model
from gift.policy.padded import check_padding, score_padded
from gift.rollout.rollouts import Rollouts

SHAPE = {
    "vocab_size": 48,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "pad_token_id": 0,
}
GPT2 = {"vocab_size": 48, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "initializer_range": 0.3}
MAMBA = {"vocab_size": 48, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "pad_token_id": 0}


def _model(family: str, settings: dict[str, object]) -> PreTrainedModel:
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **settings)).eval()
    return model


def _trained(family: str, settings: dict[str, object]) -> PreTrainedModel:
    """Some families begin with zeros, which say nothing of what they read."""
    model = _model(family, settings)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("gpt2", GPT2),
        ("mamba", MAMBA),
        ("gpt_neox", SHAPE),
        ("mistral", SHAPE | {"sliding_window": 4}),
        ("qwen3_moe", SHAPE | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}),
        ("phi", SHAPE),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_family_that_keeps_off_the_pads_is_taken(
    family: str, settings: dict[str, object], dtype: torch.dtype
) -> None:
    check_padding(_model(family, settings).to(dtype))


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("recurrent_gemma", SHAPE | {"num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 8}),
        ("rwkv", {"vocab_size": 48, "hidden_size": 32, "num_hidden_layers": 2, "context_length": 64}),
        ("roberta", SHAPE | {"is_decoder": True, "pad_token_id": 1}),  # counts positions from two on
    ],
)
def test_a_family_that_reads_pads_is_refused_in_one_line(family: str, settings: dict[str, object]) -> None:
    model = _trained(family, settings)
    with pytest.raises(GiftError, match=f"family {family} reads a response otherwise when it is padded") as refusal:
        check_padding(model)
    assert "\n" not in str(refusal.value)


def test_it_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    model = _trained("recurrent_gemma", SHAPE | {"num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 8})
    model.save_pretrained(tmp_path)
    with pytest.raises(GiftError, match="when it is padded"):
        trainable_model(tmp_path, ComputeConfig(), torch.device("cpu"))


def test_a_model_that_returns_all_logits_whatever_it_is_asked_for_is_read_right() -> None:
    torch.manual_seed(0)
    settings = {"vocab_size": 48, "d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 2}
    model = TrOCRForCausalLM(TrOCRConfig(**settings, decoder_ffn_dim=48, max_position_embeddings=64, init_std=0.3))
    model.eval()
    ids = [[5, 6, 7], [20, 21]]
    scores, _ = score_padded(model, Rollouts(*pad_left(ids[:1], pad=0), *pad_right(ids[1:], pad=0)), temperature=1.0)
    logits = model(input_ids=torch.tensor([[5, 6, 7, 20, 21]])).logits[0].log_softmax(dim=-1)
    assert scores.tolist()[0] == pytest.approx([logits[2, 20].item(), logits[3, 21].item()], abs=1e-5)

"""Grouped attention is transformers' own attention, with padding, a cache and shared key heads."""

import pytest
import torch
from small_policy import small_policy
from transformers import GenerationConfig, LlamaForCausalLM

from gift.models.attention import GROUPED_ATTENTION, grouped_attention


@pytest.fixture(params=[1, 2, 6])
def model(request: pytest.FixtureRequest) -> LlamaForCausalLM:
    heads = {"hidden_size": 48, "num_attention_heads": 6, "num_key_value_heads": request.param}
    return small_policy(vocab_size=50, num_hidden_layers=2, initializer_range=0.2, **heads).eval()


def test_logits_and_gradients_equal_eager_attention(model: LlamaForCausalLM) -> None:
    ids = torch.randint(50, (3, 9))
    mask = torch.ones_like(ids)
    mask[0, :4] = 0
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    found = {}
    for attention in ("eager", GROUPED_ATTENTION):
        model.set_attn_implementation(attention)
        model.zero_grad()
        logits = model(input_ids=ids, attention_mask=mask, position_ids=positions).logits[mask.bool()]
        logits.square().sum().backward()
        found[attention] = [logits.detach(), *(parameter.grad.clone() for parameter in model.parameters())]
    for one, other in zip(found["eager"], found[GROUPED_ATTENTION], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_generation_with_a_cache_equals_eager_attention(model: LlamaForCausalLM) -> None:
    ids = torch.randint(3, 50, (4, 5))
    mask = torch.ones_like(ids)
    mask[1, :2] = 0
    settings = GenerationConfig(max_new_tokens=12, do_sample=False, pad_token_id=0, eos_token_id=49)
    found = []
    for attention in ("eager", GROUPED_ATTENTION):
        model.set_attn_implementation(attention)
        found.append(model.generate(input_ids=ids, attention_mask=mask, generation_config=settings))
    assert torch.equal(*found)


def test_what_it_does_not_do_is_refused() -> None:
    states = torch.zeros(1, 1, 1, 1)
    for option in ({"dropout": 0.1}, {"sliding_window": 4}, {"s_aux": states}):
        with pytest.raises(ValueError, match="no dropout, sliding window or sinks"):
            grouped_attention(torch.nn.Identity(), states, states, states, None, 1.0, **option)

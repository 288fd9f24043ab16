"""Log-probabilities of responses: padding changes nothing, and they are those of a plain forward pass."""

import pytest
import torch
from small_policy import small_policy
from transformers import LlamaForCausalLM

from gift.data.tokens import pad_left, pad_right
from gift.rollout.rollouts import Rollouts
from gift.training.policy import response_log_probabilities, token_log_probabilities

PROMPTS = [[5, 6, 7, 8, 9], [10, 11], [12]]
RESPONSES = [[20, 21, 1], [22, 23, 24, 25, 1], [1]]


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    shape = {"vocab_size": 32, "num_hidden_layers": 2, "max_position_embeddings": 32}
    return small_policy(initializer_range=0.02, **shape).eval()


def _rollouts() -> Rollouts:
    return Rollouts(*pad_left(PROMPTS, pad=0), *pad_right(RESPONSES, pad=0))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_padded_rows_equal_plain_forward_passes(model: LlamaForCausalLM, temperature: float) -> None:
    with torch.no_grad():
        found = response_log_probabilities(model, _rollouts(), temperature)
        for row, (prompt, response) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
            logits = model(input_ids=torch.tensor([prompt + response])).logits[0].float() / temperature
            expected = logits.log_softmax(-1)[range(len(prompt) - 1, len(prompt + response) - 1), response]
            torch.testing.assert_close(found[row, : len(response)], expected, rtol=0, atol=1e-6)


def test_padding_counts_as_zero_and_carries_no_gradient(model: LlamaForCausalLM) -> None:
    found = response_log_probabilities(model, _rollouts(), 1.0)
    assert (found[2, 1:] == 0).all()
    assert (found[1] != 0).all()


def test_rows_are_a_slice_of_every_tensor() -> None:
    rows = _rollouts().rows(1, 3)
    assert len(rows) == 2
    assert rows.response_mask.sum().item() == 6
    assert rows.prompt_ids[0].tolist() == [0, 0, 0, 10, 11]


def test_token_log_probabilities_are_log_softmax_at_the_token() -> None:
    logits = torch.randn(2, 3, 7, dtype=torch.bfloat16)
    ids = torch.tensor([[0, 6, 3], [1, 1, 1]])
    expected = (logits.float() / 0.5).log_softmax(-1).gather(-1, ids[..., None]).squeeze(-1)
    torch.testing.assert_close(token_log_probabilities(logits, ids, 0.5), expected)

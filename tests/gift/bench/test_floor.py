"""The floor is what one counts token by token, and less than what a forward pass over padded rows does."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from gift.bench.cases import MODELS, StepCase
from gift.bench.floor import floor_operations


def _case(**values: object) -> StepCase:
    default = {"name": "x", "model": MODELS["tiny"], "prompt_tokens": 5, "response_tokens": 4, "group_size": 3}
    return StepCase(**default | {"ragged": True} | values)


def _token_by_token(case: StepCase) -> int:
    shape = case.model
    d, f, v = shape.hidden_size, shape.intermediate_size, shape.vocabulary_size
    queries, keys = shape.attention_heads * shape.head_size, shape.key_value_heads * shape.head_size
    operations = 0
    for group in case.response_lengths:
        # (tokens that it sees, whether it predicts a response's token): the prompt once, then each response.
        read = [(position + 1, position == case.prompt_tokens - 1) for position in range(case.prompt_tokens)]
        for length in group:
            read += [(case.prompt_tokens + position + 1, True) for position in range(length - 1)]
        for layer in range(shape.layers):
            for seen, predicts in read:
                operations += 2 * d * keys * 2
                if predicts or layer < shape.layers - 1:
                    operations += 2 * (d * queries + queries * d + 3 * d * f) + 2 * 2 * seen * queries
        operations += sum(2 * d * v for _, predicts in read if predicts)
    return 4 * operations


@pytest.mark.parametrize("case", [_case(), _case(ragged=False), _case(prompts=1, group_size=7, prompt_tokens=1)])
def test_the_floor_is_what_one_counts_token_by_token(case: StepCase) -> None:
    assert floor_operations(case) == _token_by_token(case)


def test_a_step_that_begins_with_sampling_reads_all_once_more() -> None:
    case = _case()
    sampling = floor_operations(case.with_sampling()) - floor_operations(case)
    assert sampling == _token_by_token(_case(ragged=False)) / 4


def test_one_response_without_shortcuts_is_what_torch_counts_of_a_real_model() -> None:
    """With one response, a layer's difference between two and three layers has nothing to share or to leave out."""

    def counted(layers: int) -> int:
        shape = MODELS["tiny"]
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=shape.vocabulary_size,
                hidden_size=shape.hidden_size,
                intermediate_size=shape.intermediate_size,
                num_hidden_layers=layers,
                num_attention_heads=shape.attention_heads,
                num_key_value_heads=shape.key_value_heads,
                attn_implementation="eager",
            )
        )
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(input_ids=torch.ones(1, 8, dtype=torch.long))
        return counter.get_total_flops()

    def floor(layers: int) -> int:
        model = MODELS["tiny"].model_copy(update={"layers": layers})
        return floor_operations(_case(model=model, ragged=False, prompts=1, group_size=1)) // 4

    square, triangle = 8 * 8, 8 * 9 // 2  # torch counts what the causal mask throws away
    masked = 2 * 2 * (square - triangle) * MODELS["tiny"].hidden_size
    assert floor(3) - floor(2) == counted(3) - counted(2) - masked

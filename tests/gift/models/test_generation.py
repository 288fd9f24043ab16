"""A model's own habits of sampling have no say in what is sampled from it."""

from typing import Any

import pytest
import torch
from small_policy import small_policy
from transformers import GenerationConfig, LlamaForCausalLM

from gift.errors import GiftError
from gift.models.generation import generate

ENDS, PAD = (1, 2), 0
HABITS: list[dict[str, Any]] = [
    {"temperature": 0.1},
    {"top_k": 1},
    {"top_p": 0.1},
    {"min_p": 0.9},
    {"typical_p": 0.1},
    {"top_h": 0.1},
    {"epsilon_cutoff": 0.5},
    {"eta_cutoff": 0.5},
    {"repetition_penalty": 5.0},
    {"no_repeat_ngram_size": 1},
    {"bad_words_ids": [[3], [4], [5]]},
    {"suppress_tokens": [3, 4, 5, 6]},
    {"begin_suppress_tokens": [3, 4, 5, 6]},
    {"forced_bos_token_id": 3},
    {"forced_eos_token_id": 3},
    {"sequence_bias": [[[3], 50.0]]},
    {"min_new_tokens": 6},
    {"min_length": 9},
    {"max_length": 4},
    {"max_new_tokens": 1},
    {"max_time": 0.0},
    {"num_beams": 4},
    {"num_beams": 4, "length_penalty": -9.0, "early_stopping": True},
    {"num_return_sequences": 2},
    {"guidance_scale": 3.0},
    {"penalty_alpha": 0.6},
    {"exponential_decay_length_penalty": [1, 9.0]},
    {"stop_strings": ["a"]},
    {"prompt_lookup_num_tokens": 2},
    {"renormalize_logits": True},
    {"remove_invalid_values": True},
    {"watermarking_config": {"greenlist_ratio": 0.1, "bias": 50.0}},
    {"cache_implementation": "static"},
    {"use_cache": False},
    {"do_sample": False},
    {"eos_token_id": 3},
    {"pad_token_id": 3},
    {"token_healing": True},
    {"dola_layers": "low"},
    {"return_dict_in_generate": True},
]


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return small_policy()


def _responses(model: LlamaForCausalLM, temperature: float) -> list[list[int]]:
    torch.manual_seed(3)
    prompts = torch.tensor([[5, 6, 7], [0, 0, 8]]).repeat_interleave(8, dim=0)
    settings = {"ends": ENDS, "pad": PAD, "max_new_tokens": 8, "temperature": temperature}
    return generate(model, prompts, prompts != PAD, **settings).tolist()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("habits", HABITS, ids=lambda habits: " ".join(habits))
def test_nothing_but_the_temperature_acts(model: LlamaForCausalLM, habits: dict[str, Any], temperature: float) -> None:
    model.generation_config = GenerationConfig()
    unbent = _responses(model, temperature)
    own = GenerationConfig()
    own.__dict__.update(habits)  # as a file may hold them, which transformers' own checks would not all let pass
    model.generation_config = own
    assert _responses(model, temperature) == unbent
    assert model.generation_config is own  # it is the model's again, and saved with it


def test_each_of_the_ends_ends_a_response(model: LlamaForCausalLM) -> None:
    model.generation_config = GenerationConfig()
    responses = _responses(model, 1.0)
    for ids in responses:
        end = next((position for position, token in enumerate(ids) if token in ENDS), len(ids))
        assert set(ids[end + 1 :]) <= {PAD}
    assert {token for ids in responses for token in ids} >= set(ENDS)


def test_the_mode_of_the_model_stays_as_it_was(model: LlamaForCausalLM) -> None:
    for training in (True, False):
        model.train(training)
        _responses(model, 1.0)
        assert model.training == training


def test_a_model_that_computes_nan_is_one_line() -> None:
    model = small_policy()
    with torch.no_grad():
        model.model.norm.weight[0] = torch.nan
    with pytest.raises(GiftError, match="no finite numbers, so that nothing can be sampled"):
        generate(
            model,
            torch.tensor([[5, 6]]),
            torch.ones(1, 2, dtype=torch.bool),
            ends=ENDS,
            pad=PAD,
            max_new_tokens=2,
            temperature=1.0,
        )

"""Responses are what transformers' own `generate` would say, with less work, and with no habit of the model's own."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from small_policy import small_policy
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from gift.data.tokens import response_mask
from gift.errors import GiftError
from gift.models import generation
from gift.models.attention import FAMILIES, GROUPED_ATTENTION, PLAIN_ATTENTION, attends_as_told
from gift.models.generation import FULL_ENOUGH, Generation, generate
from gift.models.roomy_cache import ROOM

ENDS, PAD = (1, 2), 0
PROMPTS = torch.tensor([[5, 6, 7], [0, 0, 8]])
PROMPT_OF = torch.tensor([0] * 8 + [1] * 8)
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


BY_ROWS, BY_TRANSFORMERS = PLAIN_ATTENTION, "sdpa"
"""A model with the first generates row by row, and one with the second as transformers does."""


@pytest.fixture(scope="module", params=[BY_ROWS, BY_TRANSFORMERS])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return small_policy(attn_implementation=request.param)


def _responses(
    model: PreTrainedModel,
    temperature: float,
    max_new_tokens: int = 8,
    stops: Callable[[Tensor], Tensor] | None = None,
    finished: Callable[[int, list[int]], None] | None = None,
    ends: Sequence[int] = ENDS,
) -> Tensor:
    torch.manual_seed(3)
    how = Generation(ends, PAD, max_new_tokens, temperature, stops, finished)
    return generate(model, PROMPTS, PROMPTS != PAD, how, PROMPT_OF)


@pytest.mark.parametrize("attention", [PLAIN_ATTENTION, GROUPED_ATTENTION])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_row_by_row_a_model_says_what_it_says_with_transformers(family: str, tied: bool, attention: str) -> None:
    """Over more tokens than the cache has room for at first, with prompts and responses of several lengths."""
    torch.manual_seed(1)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = AutoConfig.for_model(
        family, vocab_size=64, num_hidden_layers=3, head_dim=8, initializer_range=0.5, sliding_window=None,
        pad_token_id=PAD, tie_word_embeddings=tied, **shape,
    )  # fmt: skip
    ours, theirs = (
        AutoModelForCausalLM.from_config(copy.deepcopy(config), attn_implementation=one)  # which marks the config
        for one in (attention, BY_TRANSFORMERS)
    )
    assert (attends_as_told(ours), attends_as_told(theirs)) == (True, False)
    theirs.load_state_dict(ours.state_dict())
    prompts = torch.randint(3, 64, (6, 9))
    for row in range(6):
        prompts[row, :row] = PAD
    prompt_of = torch.tensor([0, 1, 1, 2, 3, 4, 4, 4, 5])
    lengths: list[int] = []
    how = Generation(
        (), PAD, 2 * ROOM, temperature=0.0,
        stops=lambda ids: ids.sum(dim=1) % 61 == 0, finished=lambda _, ids: lengths.append(len(ids)),
    )  # fmt: skip
    found, expected = (generate(model, prompts, prompts != PAD, how, prompt_of) for model in (ours, theirs))
    assert torch.equal(found, expected)
    assert len(set(lengths)) > 2
    assert max(lengths) > ROOM + 1


def test_each_prompt_is_read_once_and_what_has_ended_soon_no_more() -> None:
    model = small_policy()
    seen: list[tuple[int, ...]] = []
    model.model.embed_tokens.register_forward_hook(lambda _module, ids, _output: seen.append(tuple(ids[0].shape)))
    lengths = response_mask(_responses(model, 1.0), ENDS).sum(dim=1)
    assert seen[0] == tuple(PROMPTS.shape)
    going = [int((lengths > step).sum()) for step in range(1, int(lengths.max()))]
    assert [width for _, width in seen[1:]] == [1] * len(going)
    assert all(left <= rows < left / FULL_ENOUGH for left, (rows, _) in zip(going, seen[1:], strict=True))
    assert going[-1] < len(PROMPT_OF), "some have ended before"


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_tokens_are_drawn_as_often_as_the_model_says(model: PreTrainedModel, temperature: float) -> None:
    """And what can't be said never is."""
    torch.manual_seed(0)
    prompt, rows = torch.tensor([[5, 6, 7]]), 20_000
    with torch.no_grad():
        expected = (model(input_ids=prompt).logits[0, -1] / temperature).softmax(dim=0)
    how = Generation(ENDS, PAD, max_new_tokens=1, temperature=temperature)
    found = generate(model, prompt, prompt != PAD, how, torch.zeros(rows, dtype=torch.int64))
    frequencies = found.flatten().bincount(minlength=len(expected)) / rows
    assert (frequencies - expected).abs().max() < 4 * (0.25 / rows) ** 0.5


def test_what_is_drawn_does_not_depend_on_how_much_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _responses(small_policy(), 1.0)
    for at_once in (1, 5 * 12):
        monkeypatch.setattr(generation, "DRAWN_AT_ONCE", at_once)
        assert torch.equal(_responses(small_policy(), 1.0), whole)


@pytest.mark.parametrize(("share", "token"), [(0.0, 1), (1 - 2**-53, 10)], ids=["least", "largest"])
def test_at_both_ends_of_chance_a_token_is_drawn_that_can_be(
    monkeypatch: pytest.MonkeyPatch, share: float, token: int
) -> None:
    model = _without_some_tokens()
    monkeypatch.setattr(torch, "rand", lambda *size, **kind: torch.full(size, share, **kind))
    assert set(_responses(model, 1.0, max_new_tokens=1).flatten().tolist()) == {token}


def _without_some_tokens() -> PreTrainedModel:
    """It never says the first, the last and one between."""
    model = small_policy()
    forbid = torch.zeros(12).index_fill(0, torch.tensor([0, 4, 11]), -torch.inf)
    model.lm_head.register_forward_hook(lambda _module, _input, logits: logits + forbid)
    return model


def test_a_forbidden_token_is_never_drawn() -> None:
    model = _without_some_tokens()
    said = response_mask(responses := _responses(model, 5.0, max_new_tokens=64), ENDS)
    assert set(responses[said].tolist()) == set(range(12)) - {0, 4, 11}


@pytest.mark.parametrize("ends", [ENDS, (PAD, 2)], ids=["", "what pads is an end"])
def test_who_asks_is_told_of_each_response_that_ends(model: PreTrainedModel, ends: tuple[int, ...]) -> None:
    told: list[tuple[int, list[int]]] = []
    responses = _responses(model, 1.0, 12, finished=lambda row, ids: told.append((row, ids)), ends=ends)
    mask = response_mask(responses, ends)
    ended = [row for row in range(len(responses)) if set(responses[row][mask[row]].tolist()) & set(ends)]
    assert sorted(told) == [(row, responses[row][mask[row]].tolist()) for row in ended]
    assert 0 < len(ended) < len(responses)


def test_what_else_ends_a_response_ends_that_one_alone(model: PreTrainedModel) -> None:
    told: list[int] = []
    responses = _responses(
        model, 1.0, stops=lambda ids: (ids[:, 1:] == 7).any(dim=1), finished=lambda row, _: told.append(row)
    )
    stopped = 0
    for row, ids in enumerate(responses.tolist()):
        ends = [place for place, token in enumerate(ids) if token in ENDS or (token == 7 and place)]
        assert not ends or set(ids[ends[0] + 1 :]) <= {PAD}
        assert told.count(row) == bool(ends)
        stopped += bool(ends) and ids[ends[0]] == 7
    assert stopped > 0


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("habits", HABITS, ids=lambda habits: " ".join(habits))
def test_nothing_but_the_temperature_acts(model: PreTrainedModel, habits: dict[str, Any], temperature: float) -> None:
    model.generation_config = GenerationConfig()
    unbent = _responses(model, temperature)
    own = GenerationConfig()
    own.__dict__.update(habits)  # as a file may hold them, which transformers' own checks would not all let pass
    model.generation_config = own
    assert torch.equal(_responses(model, temperature), unbent)
    assert model.generation_config is own  # it is the model's again, and saved with it


def test_each_of_the_ends_ends_a_response(model: PreTrainedModel) -> None:
    model.generation_config = GenerationConfig()
    responses = _responses(model, 1.0).tolist()
    for ids in responses:
        end = next((position for position, token in enumerate(ids) if token in ENDS), len(ids))
        assert set(ids[end + 1 :]) <= {PAD}
    assert {token for ids in responses for token in ids} >= set(ENDS)


def test_the_mode_of_the_model_stays_as_it_was(model: PreTrainedModel) -> None:
    for training in (True, False):
        model.train(training)
        _responses(model, 1.0)
        assert model.training == training


@pytest.mark.parametrize("attention", [BY_ROWS, BY_TRANSFORMERS])
def test_a_model_that_computes_nan_is_one_line(attention: str) -> None:
    model = small_policy(attn_implementation=attention)
    with torch.no_grad():
        model.model.norm.weight[0] = torch.nan
    with pytest.raises(GiftError, match="no finite numbers, so that nothing can be sampled"):
        _responses(model, 1.0)


def test_nor_is_there_a_most_likely_token_in_nan() -> None:
    model = small_policy()
    with torch.no_grad():
        model.model.norm.weight[0] = torch.nan
    with pytest.raises(GiftError, match="no finite numbers"):
        _responses(model, 0.0)

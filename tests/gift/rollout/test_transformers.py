"""Rollouts: groups stay together, the mask ends with the end-of-sequence token, and nothing is cut from the policy."""

import pytest
import torch
from small_policy import small_policy
from transformers import LlamaForCausalLM

from gift.config import RolloutConfig
from gift.data.tokens import response_mask
from gift.policy.log_probabilities import response_log_probabilities
from gift.rollout.rollouts import Rollouts
from gift.rollout.transformers import TransformersEngine

EOS, PAD = 1, 0


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return small_policy()


def _config(**changes: float) -> RolloutConfig:
    values = {"group_size": 4, "max_prompt_tokens": 8, "max_new_tokens": 6} | changes
    return RolloutConfig.model_validate(values)


def _sample(model: LlamaForCausalLM, prompts: list[list[int]], config: RolloutConfig, seed: int = 0) -> Rollouts:
    engine = TransformersEngine(config, ends=[EOS], pad=PAD)
    engine.refresh(model)
    return engine.sample(prompts, config.group_size, seed)


def test_the_responses_of_a_prompt_are_neighbours(model: LlamaForCausalLM) -> None:
    rollouts = _sample(model, [[5, 6, 7], [8]], _config())
    assert rollouts.prompt_ids.tolist() == [[5, 6, 7]] * 4 + [[0, 0, 8]] * 4
    assert rollouts.response_ids.shape == rollouts.response_mask.shape
    assert rollouts.response_ids.shape[1] <= 6
    assert model.training  # as it was


def test_a_response_is_told_of_once_and_whole_when_it_ends(model: LlamaForCausalLM) -> None:
    """Also where what pads is an end."""
    engine = TransformersEngine(_config(), ends=[EOS, PAD], pad=PAD)
    engine.refresh(model)
    told: list[tuple[int, list[int]]] = []
    rollouts = engine.sample([[5, 6, 7], [8]], 8, seed=0, finished=lambda row, ids: told.append((row, list(ids))))
    whole = [ids[mask].tolist() for ids, mask in zip(rollouts.response_ids, rollouts.response_mask, strict=True)]
    ended = [(row, ids) for row, ids in enumerate(whole) if ids[-1] in (EOS, PAD)]
    assert sorted(told) == ended
    assert 0 < len(ended) < len(whole)
    assert told != ended, "in the order in which they ended"
    unwatched = engine.sample([[5, 6, 7], [8]], 8, seed=0)
    assert torch.equal(unwatched.response_ids, rollouts.response_ids)


def test_no_prompts_give_no_responses(model: LlamaForCausalLM) -> None:
    rollouts = _sample(model, [], _config())
    assert len(rollouts) == 0
    assert rollouts.prompt_ids.shape == rollouts.response_mask.shape == (0, 0)


def test_the_same_seed_gives_the_same_responses(model: LlamaForCausalLM) -> None:
    first, again, other = (_sample(model, [[5, 6, 7]], _config(), seed).response_ids.tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_responses_may_be_kept_shorter_than_configured(model: LlamaForCausalLM) -> None:
    engine = TransformersEngine(_config(), ends=[EOS], pad=PAD)
    engine.refresh(model)
    assert engine.sample([[5, 6, 7]], 4, seed=0, max_new_tokens=2).response_ids.shape == (4, 2)


def test_sampling_follows_the_policy_at_its_temperature(model: LlamaForCausalLM) -> None:
    """The frequencies of 8,000 first tokens are the policy's probabilities, the rare ones too."""
    for temperature in (1.0, 2.0):
        config = _config(group_size=8000, max_new_tokens=1, temperature=temperature)
        rollouts = _sample(model, [[5, 6]], config, seed=1)
        counts = rollouts.response_ids.flatten().bincount(minlength=12) / 8000
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[5, 6]])).logits[0, -1]
        probabilities = (logits / temperature).softmax(-1)
        standard_error = (probabilities * (1 - probabilities) / 8000).sqrt()
        assert ((counts - probabilities).abs() < 5 * standard_error + 1e-4).all()


def test_a_policy_is_its_own_reference_on_its_rollouts(model: LlamaForCausalLM) -> None:
    rollouts = _sample(model, [[5, 6, 7], [8]], _config())
    with torch.no_grad():
        once, twice = (response_log_probabilities(model, rollouts, 1.0) for _ in range(2))
    assert torch.equal(once, twice)


def test_the_mask_ends_with_the_first_end_of_sequence_token() -> None:
    ids = torch.tensor([[5, EOS, PAD, PAD], [5, 6, 7, 8], [EOS, EOS, 5, EOS]])
    assert response_mask(ids, [EOS]).int().tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]]

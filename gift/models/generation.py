"""Responses of a causal language model with transformers' `generate`, for rollouts and benchmarks alike.

Nothing but the temperature acts on what the model says. Its own habits (`generation_config.json`: top_p, penalties,
forbidden words, beams, a least length, a time limit) are set aside meanwhile: they would bend the policy in silence.
Left out: continuous batching and prefix sharing, which a serving engine does better.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteriaList

from gift.errors import GiftError


@torch.no_grad()
def generate(
    model: Any,
    prompt_ids: Tensor,
    prompt_mask: Tensor,
    *,
    ends: Sequence[int],
    pad: int,
    max_new_tokens: int,
    temperature: float,
    stopping: StoppingCriteriaList | None = None,
) -> Tensor:
    """(B, P) prompts, padded on the left, → (B, R) int64 responses, padded with `pad` after their end.

    Args:
        model: a `PreTrainedModel`; it is left in the mode that it was in.
        prompt_mask: (B, P) bool of real tokens.
        ends: token ids that end a response.
        temperature: 0 is greedy.
        stopping: what else ends a response.

    Raises:
        GiftError: there is nothing to sample from, as the model computes NaN.
    """
    sampling = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0} if temperature else {}
    was_training = model.training
    model.eval()
    try:
        with _habits_set_aside(model):
            sequences = model.generate(
                input_ids=prompt_ids,
                attention_mask=prompt_mask.long(),
                generation_config=GenerationConfig(
                    **sampling, max_new_tokens=max_new_tokens, eos_token_id=list(ends), pad_token_id=pad
                ),
                stopping_criteria=stopping,
            )
    except RuntimeError as error:
        if "probability tensor" not in str(error):
            raise
        raise GiftError(
            "the model's probabilities are no finite numbers, so that nothing can be sampled; its training has "
            "diverged, lower the learning rate"
        ) from error
    finally:
        model.train(was_training)
    responses: Tensor = sequences[:, prompt_ids.shape[1] :]
    return responses


@contextmanager
def _habits_set_aside(model: Any) -> Iterator[None]:
    # transformers fills in from here whatever a call does not say.
    habits, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = habits

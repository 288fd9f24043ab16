"""Rollouts with transformers' `generate`: the policy's own weights, no copy to keep in step.

Left out: continuous batching and prefix sharing, which a serving engine does better.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from gift.config import RolloutConfig
from gift.data.tokens import pad_left
from gift.rollout.rollouts import Rollouts


@torch.no_grad()
def sample_groups(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], config: RolloutConfig, *, eos: int, pad: int
) -> Rollouts:
    """N = `config.group_size` responses for each of G prompts, sampled at `config.temperature` with nothing cut.

    Returns:
        B = G·N rollouts, the N responses of a prompt in neighbouring rows.
    """
    ids, mask = pad_left(prompts, pad)  # (G, P)
    prompt_ids = ids.repeat_interleave(config.group_size, dim=0).to(model.device)  # (G·N, P)
    prompt_mask = mask.repeat_interleave(config.group_size, dim=0).to(model.device)
    was_training = model.training
    model.eval()
    sequences = model.generate(
        input_ids=prompt_ids,
        attention_mask=prompt_mask.long(),
        generation_config=GenerationConfig(
            do_sample=True,
            temperature=config.temperature,
            top_p=1.0,
            top_k=0,
            repetition_penalty=1.0,  # a model's own generation config would fill in what is not said here
            max_new_tokens=config.max_new_tokens,
            eos_token_id=eos,
            pad_token_id=pad,
        ),
    )
    model.train(was_training)
    response_ids = sequences[:, prompt_ids.shape[1] :]  # (G·N, R)
    return Rollouts(prompt_ids, prompt_mask, response_ids, response_mask(response_ids, eos))


def response_mask(response_ids: Tensor, eos: int) -> Tensor:
    """(B, R) ids → (B, R) bool: true up to and including the first end-of-sequence token."""
    ended = (response_ids == eos).cumsum(dim=1)
    return (ended == 0) | ((ended == 1) & (response_ids == eos))

"""Problems as token ids, for training.

Prompt and completion are tokenized apart, so that SFT trains on exactly the prompt tokens that rollouts and the
benchmark use. Nothing is ever cut: a sequence that does not fit is refused with its id.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from gift.data.problems import Problem, completion_text, prompt_text
from gift.errors import GiftError


@dataclass(frozen=True)
class Demonstration:
    """Token ids of one SFT sequence; the loss is on the completion (which ends with the end-of-sequence token)."""

    prompt: list[int]
    completion: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


def tokenize_demonstrations(
    tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem], template: str, context_length: int
) -> list[Demonstration]:
    """Raises: GiftError: a demonstration has no answer, or is longer than the context (its id and length are named)."""
    for problem in problems:
        if not problem.answer:
            raise GiftError(f"demonstration {problem.id} has no worked answer; remove it, or set sft.steps to 0")
    prompts = token_ids(tokenizer, [prompt_text(problem.question, template) for problem in problems])
    completions = token_ids(tokenizer, [completion_text(problem.answer) for problem in problems], special_tokens=False)
    demonstrations = [
        Demonstration(prompt, [*completion, tokenizer.eos_token_id])
        for prompt, completion in zip(prompts, completions, strict=True)
    ]
    for problem, demonstration in zip(problems, demonstrations, strict=True):
        if len(demonstration) > context_length:
            raise GiftError(
                f"demonstration {problem.id} has {len(demonstration)} tokens, the context holds {context_length}; "
                "remove it or raise model.context_length"
            )
    return demonstrations


def tokenize_prompts(
    tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem], template: str, max_prompt_tokens: int
) -> list[list[int]]:
    """Raises: GiftError: a prompt is longer than `rollout.max_prompt_tokens` (its id and length are named)."""
    prompts = token_ids(tokenizer, [prompt_text(problem.question, template) for problem in problems])
    for problem, prompt in zip(problems, prompts, strict=True):
        if len(prompt) > max_prompt_tokens:
            raise GiftError(
                f"prompt {problem.id} has {len(prompt)} tokens, rollout.max_prompt_tokens is {max_prompt_tokens}; "
                "remove it or raise the limit"
            )
    return prompts


def token_ids(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, special_tokens: bool = True
) -> list[list[int]]:
    """The token ids of each text; of none, none (transformers' own call fails there)."""
    if not texts:
        return []
    ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=special_tokens)["input_ids"]
    return ids


def pad_right(sequences: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Token ids (B, T) int64 padded at the end, and the mask (B, T) bool of real tokens; without any, B = T = 0."""
    shape = (len(sequences), max(map(len, sequences), default=0))
    ids = torch.full(shape, pad, dtype=torch.int64)
    mask = torch.zeros(shape, dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence, dtype=torch.int64)
        mask[row, : len(sequence)] = True
    return ids, mask


def pad_left(sequences: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Token ids (B, T) int64 padded at the beginning, and the mask (B, T) bool of real tokens."""
    ids, mask = pad_right([list(reversed(sequence)) for sequence in sequences], pad)
    return ids.flip(1), mask.flip(1)

"""Problems as token ids, for training, and token ids as texts.

Prompt and completion are tokenized apart (`gift.data.prompts`), so that SFT trains on exactly the prompt tokens that
rollouts and the benchmark use. Nothing is ever cut: a sequence that does not fit is refused with its id.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from gift.config import PromptFormat
from gift.data.problems import Problem
from gift.data.prompts import answer_ids, asked_text, encode
from gift.errors import GiftError


@dataclass(frozen=True)
class Demonstration:
    """Token ids of one SFT sequence; the loss is on the completion (which ends with the token that ends a response)."""

    prompt: list[int]
    completion: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.completion)


def tokenize_demonstrations(
    tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem], prompt: PromptFormat, context_length: int
) -> list[Demonstration]:
    """Raises: GiftError: a demonstration has no answer, or is longer than the context (its id and length are named)."""
    for problem in problems:
        if not problem.answer:
            raise GiftError(f"demonstration {problem.id} has no worked answer; remove it, or set sft.steps to 0")
    prompts = _prompt_ids(tokenizer, problems, prompt)
    completions = answer_ids(tokenizer, [problem.answer for problem in problems], prompt)
    demonstrations = [Demonstration(*parts) for parts in zip(prompts, completions, strict=True)]
    for problem, demonstration in zip(problems, demonstrations, strict=True):
        if len(demonstration) > context_length:
            raise GiftError(
                f"demonstration {problem.id} has {len(demonstration)} tokens, the context holds {context_length}; "
                "remove it or raise model.context_length"
            )
    return demonstrations


def tokenize_prompts(
    tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem], prompt: PromptFormat, max_prompt_tokens: int
) -> list[list[int]]:
    """Raises: GiftError: a prompt is longer than `rollout.max_prompt_tokens` (its id and length are named)."""
    prompts = _prompt_ids(tokenizer, problems, prompt)
    for problem, ids in zip(problems, prompts, strict=True):
        if len(ids) > max_prompt_tokens:
            raise GiftError(
                f"prompt {problem.id} has {len(ids)} tokens, rollout.max_prompt_tokens is {max_prompt_tokens}; "
                "remove it or raise the limit"
            )
    return prompts


def _prompt_ids(
    tokenizer: PreTrainedTokenizerBase, problems: Sequence[Problem], prompt: PromptFormat
) -> list[list[int]]:
    return encode(tokenizer, [asked_text(tokenizer, problem.question, prompt) for problem in problems], prompt)


def is_end(ids: Tensor, ends: Sequence[int]) -> Tensor:
    """Token ids of any shape → bool of that shape: which are one of `ends`."""
    return torch.isin(ids, torch.tensor(ends, device=ids.device))


def response_mask(response_ids: Tensor, ends: Sequence[int]) -> Tensor:
    """(B, R) ids → (B, R) bool: true up to and including the first of `ends`."""
    end = is_end(response_ids, ends)
    return end.cumsum(dim=1) - end.int() == 0


def response_texts(
    tokenizer: PreTrainedTokenizerBase, response_ids: Tensor, mask: Tensor, ends: Sequence[int]
) -> list[str]:
    """What a judge reads of each of (B, R) responses: without the token that ends it, and without special tokens.

    Args:
        mask: (B, R) bool of `response_mask`.
    """
    rows = zip(response_ids, mask, strict=True)
    return [response_text(tokenizer, ids[real].tolist(), ends) for ids, real in rows]


def response_text(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], ends: Sequence[int]) -> str:
    """The same of one response's real tokens, with the spaces that they have: transformers would take away those before
    punctuation, where a tokenizer's settings say so."""
    said = [token for token in ids if token not in ends]
    return str(tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False))


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

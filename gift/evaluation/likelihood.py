"""How likely a model finds texts after others: what multiple choice is scored by.

    contexts, continuations ── pairs of token ids ──> one pass per different input ──> sum of log-probabilities each

The last token of a sequence is only predicted, so that continuations of one token after the same context, such as the
letters of answers, share a pass. Pairs are cut where lm-eval's `TemplateLM` cuts them. Left out: sharing a longer
context, and the likelihood of whole documents.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from gift.data.tokens import pad_right
from gift.errors import GiftError


@dataclass(frozen=True)
class TokenPair:
    """A text and what comes after it; neither is empty."""

    context: tuple[int, ...]
    continuation: tuple[int, ...]

    @property
    def read(self) -> tuple[int, ...]:
        """What the model is given: all but the last token."""
        return (*self.context, *self.continuation[:-1])


@dataclass(frozen=True)
class Likelihood:
    """Of a continuation, given its context."""

    log_probability: float
    """Of all its tokens, in nats."""
    greedy: bool
    """Each of its tokens is the most probable one."""


def encode_pairs(
    encode: Callable[[Sequence[str]], list[list[int]]], pairs: Sequence[tuple[str, str]], first: int
) -> list[TokenPair]:
    """Token ids of (context, continuation): the whole, cut after as many tokens as the context has alone.

    White space at the end of a context goes with what follows, as tokens begin with it.

    Args:
        encode: texts → token ids, with what the tokenizer puts before a text.
        first: the token that stands for an empty context.
    """
    texts = [_without_space_at_the_end(*pair) for pair in pairs]
    contexts = list(dict.fromkeys(context for context, _ in texts if context))
    lengths = dict(zip(contexts, map(len, encode(contexts)), strict=True))
    wholes = encode([context + continuation for context, continuation in texts])
    return [
        _cut(ids, lengths[context]) if context else _after_nothing(ids, first)
        for ids, (context, _) in zip(wholes, texts, strict=True)
    ]


def _without_space_at_the_end(context: str, continuation: str) -> tuple[str, str]:
    bare = context.rstrip()
    return bare, context[len(bare) :] + continuation


def _cut(ids: Sequence[int], length: int) -> TokenPair:
    return TokenPair(tuple(ids[:length]), tuple(ids[length:]))


def _after_nothing(ids: Sequence[int], first: int) -> TokenPair:
    return _cut(ids if ids[0] == first else [first, *ids], 1)


def likelihoods(
    model: PreTrainedModel, pairs: Sequence[TokenPair], pad: int, batch_size: int, done: Callable[[], None]
) -> list[Likelihood]:
    """One per pair; the longest come first, so that the first batch takes the most memory. `done` is called after each.

    Raises:
        GiftError: the model computes NaN.
    """
    found: dict[int, Likelihood] = {}
    same: dict[tuple[int, ...], list[int]] = {}
    for place, pair in enumerate(pairs):
        same.setdefault(pair.read, []).append(place)
    inputs = sorted(same, key=lambda ids: (-len(ids), ids))
    for start in range(0, len(inputs), batch_size):
        batch = inputs[start : start + batch_size]
        shortest = min(len(pairs[place].context) for ids in batch for place in same[ids])
        for ids, row in zip(batch, _log_probabilities(model, batch, pad, shortest - 1), strict=True):
            for place in same[ids]:
                found[place] = _likelihood(row, pairs[place], shortest - 1)
                done()
    return [found[place] for place in range(len(pairs))]


@torch.no_grad()
def _log_probabilities(
    model: PreTrainedModel, batch: Sequence[Sequence[int]], pad: int, start: int
) -> Iterator[Tensor]:
    """For each sequence (T − start, V) float32: of the token after each of its positions from `start` on."""
    ids, mask = (part.to(model.device) for part in pad_right(batch, pad))
    positions = torch.arange(start, ids.shape[1], device=model.device)
    model.eval()
    logits = model(input_ids=ids, attention_mask=mask.long(), logits_to_keep=positions).logits
    logits = logits[:, -len(positions) :]  # some models return all the same
    return (row.float().log_softmax(dim=-1) for row in logits)


def _likelihood(log_probabilities: Tensor, pair: TokenPair, start: int) -> Likelihood:
    first = len(pair.context) - 1 - start
    rows = log_probabilities[first : first + len(pair.continuation)]
    tokens = torch.tensor(pair.continuation, device=rows.device)
    value = rows.gather(1, tokens[:, None]).sum().item()
    return checked_likelihood(value, bool((rows.argmax(dim=1) == tokens).all()))


def checked_likelihood(log_probability: float, greedy: bool) -> Likelihood:
    """Raises: GiftError: the model computes NaN."""
    if math.isnan(log_probability):
        raise GiftError(
            "the model's probabilities are no finite numbers, so that no answer can be chosen; its training has "
            "diverged, lower the learning rate"
        )
    return Likelihood(log_probability, greedy)

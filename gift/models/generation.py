"""Responses of a causal language model with transformers, for rollouts and benchmarks alike.

    a model that attends as told (gift/models/attention.py)   each prompt read once, however many responses it gets;
                                                              responses that have ended are soon left out
    any other                                                 transformers' `generate`: every row until the last ends

Nothing but the temperature acts on what the model says. Its own habits (`generation_config.json`: top_p, penalties,
forbidden words, beams, a least length, a time limit) are set aside: they would bend the policy in silence.
Left out: continuous batching and prefixes shared by several prompts, which a serving engine does better.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, GenerationConfig, StoppingCriteriaList

from gift.data.tokens import is_end
from gift.errors import GiftError
from gift.models.attention import attends_as_told
from gift.models.roomy_cache import roomy_cache

FULL_ENOUGH = 7 / 8
"""Share of a batch's rows that go on; with fewer it is made smaller, which copies what is cached of them."""
DRAWN_AT_ONCE = 2**22
"""Logits whose sums exist at a time, in float64."""
NOT_FINITE = (
    "the model's probabilities are no finite numbers, so that nothing can be sampled; its training has diverged, lower "
    "the learning rate"
)


@dataclass(frozen=True)
class Generation:
    """How responses are chosen, and what ends them."""

    ends: Sequence[int]
    """Token ids that end a response."""
    pad: int
    """The token id that follows an end."""
    max_new_tokens: int
    temperature: float
    """0 is greedy."""
    stops: Callable[[Tensor], Tensor] | None = None
    """(b, t) token ids of responses so far → (b,) bool: which of them end, beside those at one of `ends`."""
    finished: Callable[[int, list[int]], None] | None = None
    """Told the row and the token ids of each response that has ended, while others go on."""


@torch.no_grad()
def generate(
    model: Any, prompt_ids: Tensor, prompt_mask: Tensor, generation: Generation, prompt_of: Tensor | None = None
) -> Tensor:
    """(G, P) prompts, padded on the left, → (B, R) int64 responses, padded on the right.

    Args:
        model: a `PreTrainedModel`; it is left in the mode that it was in.
        prompt_mask: (G, P) bool of real tokens.
        prompt_of: (B,) int64: which prompt each response answers; None is one response to each.

    Raises:
        GiftError: there is nothing to sample from, as the model computes NaN.
    """
    if prompt_of is None:
        prompt_of = torch.arange(len(prompt_ids), device=prompt_ids.device)
    respond = _respond_row_by_row if attends_as_told(model) else _respond_with_transformers
    was_training = model.training
    model.eval()
    try:
        return respond(model, prompt_ids, prompt_mask, prompt_of, generation)
    finally:
        model.train(was_training)


def _respond_row_by_row(
    model: Any, prompt_ids: Tensor, prompt_mask: Tensor, prompt_of: Tensor, generation: Generation
) -> Tensor:
    cache = roomy_cache()
    positions = (prompt_mask.cumsum(dim=1) - 1).clamp_min(0)
    logits = _next_logits(model, prompt_ids, prompt_mask, positions, cache)[prompt_of]  # (B, V)
    cache.batch_select_indices(prompt_of)
    mask, positions = prompt_mask[prompt_of], positions[prompt_of, -1:]
    rows = torch.arange(len(prompt_of), device=prompt_ids.device)  # of the batch, by its places in the responses
    going = torch.ones_like(rows, dtype=torch.bool)  # those of them that have not ended
    responses = prompt_ids.new_full((len(rows), generation.max_new_tokens), generation.pad)
    for length in range(1, generation.max_new_tokens + 1):
        tokens = torch.where(going, _choose(logits, generation.temperature), generation.pad)  # (b,)
        responses[rows, length - 1] = tokens
        ended = going & is_end(tokens, generation.ends)
        if generation.stops is not None:
            ended |= going & generation.stops(responses[rows, :length])
        _tell(generation, rows[ended], responses[:, :length])
        going = going & ~ended
        left = int(going.sum())
        if left == 0 or length == generation.max_new_tokens:
            break
        if left <= FULL_ENOUGH * len(rows):
            kept = going.nonzero().squeeze(1)
            rows, going, tokens, mask, positions = (part[kept] for part in (rows, going, tokens, mask, positions))
            cache.batch_select_indices(kept)
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        positions = positions + 1
        logits = _next_logits(model, tokens[:, None], mask, positions, cache)
    return responses[:, :length]


def _next_logits(model: Any, ids: Tensor, mask: Tensor, positions: Tensor, cache: Cache) -> Tensor:
    """(b, t) tokens that follow what is in the cache → (b, V) float32 logits of the next."""
    logits: Tensor = model(
        input_ids=ids,
        attention_mask=mask.long(),
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits
    return logits[:, -1].float()


def _choose(logits: Tensor, temperature: float) -> Tensor:
    """(b, V) → (b,) token ids.

    Raises:
        GiftError: a logit is NaN or ∞.
    """
    if not logits.amax(dim=-1).isfinite().all():
        raise GiftError(NOT_FINITE)
    if not temperature:
        return logits.argmax(dim=-1)
    shares = torch.rand(len(logits), 1, dtype=torch.float64, device=logits.device)
    rows = max(1, DRAWN_AT_ONCE // logits.shape[1])
    parts = zip(torch.split(logits, rows), torch.split(shares, rows), strict=True)
    return torch.cat([_draw(part / temperature, share) for part, share in parts])


def _draw(logits: Tensor, shares: Tensor) -> Tensor:
    """(b, V), (b, 1) in [0, 1) → (b,): the first id whose probability, with those before it, exceeds that share of all.

    In float64, as the words of a large vocabulary are less likely than the rounding of float32.
    """
    up_to = logits.softmax(dim=-1).cumsum(dim=-1, dtype=torch.float64)
    places = torch.searchsorted(up_to, shares * up_to[:, -1:], right=True)
    return places.squeeze(1).clamp_max(logits.shape[1] - 1)


def _tell(generation: Generation, rows: Tensor, responses: Tensor) -> None:
    """Of the rows that end with the last column of (B, t) responses."""
    if generation.finished is not None:
        for row in rows.tolist():
            generation.finished(row, responses[row].tolist())


def _respond_with_transformers(
    model: Any, prompt_ids: Tensor, prompt_mask: Tensor, prompt_of: Tensor, generation: Generation
) -> Tensor:
    temperature, width = generation.temperature, prompt_ids.shape[1]
    sampling = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0} if temperature else {}
    settings = GenerationConfig(
        **sampling,
        max_new_tokens=generation.max_new_tokens,
        eos_token_id=list(generation.ends),
        pad_token_id=generation.pad,
    )
    try:
        with _habits_set_aside(model):
            sequences: Tensor = model.generate(
                input_ids=prompt_ids[prompt_of],
                attention_mask=prompt_mask[prompt_of].long(),
                generation_config=settings,
                stopping_criteria=StoppingCriteriaList([_onlooker(generation, width)]),
            )
    except RuntimeError as error:
        if "probability tensor" not in str(error):
            raise
        raise GiftError(NOT_FINITE) from error
    return sequences[:, width:]


def _onlooker(generation: Generation, prompt_tokens: int) -> Callable[..., Tensor]:
    """A stopping criterion that also tells of each row that ends."""
    told: set[int] = set()  # a row that has ended is padded, and looked at, until the last one ends

    def look(input_ids: Tensor, _scores: Tensor, **_: Any) -> Tensor:
        responses = input_ids[:, prompt_tokens:]
        stopped = torch.zeros(len(responses), dtype=torch.bool, device=responses.device)
        if generation.stops is not None:
            stopped |= generation.stops(responses)
        ended = (stopped | is_end(responses[:, -1], generation.ends)).nonzero().squeeze(1)
        new = [row for row in ended.tolist() if row not in told]
        told.update(new)
        _tell(generation, ended.new_tensor(new), responses)
        return stopped

    return look


@contextmanager
def _habits_set_aside(model: Any) -> Iterator[None]:
    # transformers fills in from here whatever a call does not say.
    habits, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = habits

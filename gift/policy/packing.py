"""Rollouts as one row of tokens without padding, in which the responses of a group share one copy of their prompt.

    prompt A │ prompt B │ response A1 │ response A2 │ response B1 │ …

A response is in the row without its last token, which predicts nothing: N responses of R tokens to a prompt of P take
P + N·(R − 1) places instead of N·(P + R). A token attends to what precedes it in its own sequence, so a response's to
the prompt and to its own earlier tokens; positions count from the prompt's beginning. Log-probabilities and gradients
are those of the padded rows.

Left out: several devices for one row (sequence parallelism), and attention kernels that read the row as it is: prompts
and responses are padded for the attention alone, which torch's own kernels then compute.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from gift.rollout.rollouts import Rollouts


@dataclass(frozen=True)
class PackedRollouts:
    """G prompts and B responses in a row of T tokens; S response tokens are to be predicted."""

    ids: Tensor
    """(1, T) int64"""
    positions: Tensor
    """(1, T) int64: each token's place in its own sequence."""
    predictors: Tensor
    """(S,) int64: the place in the row of the token before each response token, response by response."""
    targets: Tensor
    """(S,) int64: the response tokens themselves."""
    prompt_of: Tensor
    """(B,) int64: each response's prompt."""
    group_size: int | None
    """Responses to each prompt; None where prompts differ in that."""
    padded_prompts: tuple[int, int]
    """(G, P)"""
    padded_responses: tuple[int, int]
    """(B, R)"""
    may_attend: Tensor
    """(B, 1, R, P + R) bool: what each token of a response reads, of its padded prompt and its own response."""
    places: Tensor
    """(G·P + B·R,) int64: the row's place of each padded token, prompts first; of padding, of any token."""
    order: Tensor
    """(T,) int64: where the row's tokens are among the padded ones."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Attention of the row: (1, H, T, D) queries, (1, K, T, D) keys and values → (1, T, H, D); K divides H."""
        heads = query.shape[1]
        if query.device.type != "cpu":  # with a mask, torch's fast kernels for GPUs want keys for each query head
            key, value = (part.repeat_interleave(heads // part.shape[1], dim=1) for part in (key, value))
        grouped = key.shape[1] < heads
        (prompt_query, own_query), (prompt_key, own_key), (prompt_value, own_value) = (
            self._padded(part) for part in (query, key, value)
        )
        prompts = scaled_dot_product_attention(
            prompt_query, prompt_key, prompt_value, is_causal=True, scale=scaling, enable_gqa=grouped
        )
        responses = scaled_dot_product_attention(
            own_query,
            self._after_prompts(prompt_key, own_key),
            self._after_prompts(prompt_value, own_value),
            attn_mask=self.may_attend,
            scale=scaling,
            enable_gqa=grouped,
        )
        padded = [part.transpose(1, 2).reshape(-1, heads, part.shape[-1]) for part in (prompts, responses)]
        return _unpad(torch.cat(padded), self.order)[None]

    def _padded(self, row: Tensor) -> tuple[Tensor, Tensor]:
        """(1, H, T, D) → prompts (G, H, P, D) and responses (B, H, R, D)."""
        tokens = _pad(row[0].transpose(0, 1), self.places, self.order)  # (G·P + B·R, H, D)
        split = math.prod(self.padded_prompts)
        prompts = tokens[:split].view(*self.padded_prompts, *tokens.shape[1:])
        responses = tokens[split:].view(*self.padded_responses, *tokens.shape[1:])
        return prompts.transpose(1, 2), responses.transpose(1, 2)

    def _after_prompts(self, prompts: Tensor, responses: Tensor) -> Tensor:
        """(G, K, P, D), (B, K, R, D) → (B, K, P + R, D): each response after a copy of its prompt."""
        if self.group_size is None:
            return torch.cat([prompts.index_select(0, self.prompt_of), responses], dim=2)
        # The same, and its gradient a sum, where that of an index is a scatter.
        grouped = responses.reshape(-1, self.group_size, *responses.shape[1:])  # (G, N, K, R, D)
        copies = prompts[:, None].expand(-1, self.group_size, -1, -1, -1)
        return torch.cat([copies, grouped], dim=3).flatten(0, 1)


def pack(rollouts: Rollouts, group_sizes: Sequence[int]) -> PackedRollouts:
    """The rollouts as one row; `group_sizes` says how many that follow one another answer the same prompt."""
    sizes = torch.tensor(group_sizes, device=rollouts.prompt_ids.device)
    first = sizes.cumsum(0) - sizes
    prompt_of = torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)
    left_padded = rollouts.prompt_mask[first]
    prompts = _left_aligned(left_padded.sum(dim=1), at_least=1)  # (G, P)
    inputs = _left_aligned(rollouts.response_mask.sum(dim=1) - 1, at_least=1)  # (B, R)
    prompt_places = _places(prompts, start=0)
    response_places = _places(inputs, start=int(prompts.sum()))
    ends = prompt_places.gather(1, prompts.sum(dim=1, keepdim=True) - 1)  # (G, 1): each prompt's last token
    length = inputs.shape[1]
    mask = rollouts.response_mask[:, : length + 1]
    before = torch.cat([ends[prompt_of], response_places], dim=1)[:, : mask.shape[1]]  # the token that predicts each
    causal = torch.ones(length, length, dtype=torch.bool, device=sizes.device).tril()
    response_ids = rollouts.response_ids[:, :length][inputs]
    positions = [_counted(prompts)[prompts], (prompts.sum(dim=1)[prompt_of, None] + _counted(inputs))[inputs]]
    return PackedRollouts(
        ids=torch.cat([rollouts.prompt_ids[first][left_padded], response_ids])[None],
        positions=torch.cat(positions)[None],
        predictors=before[mask],
        targets=rollouts.response_ids[rollouts.response_mask],
        prompt_of=prompt_of,
        group_size=group_sizes[0] if len(set(group_sizes)) == 1 else None,
        padded_prompts=(prompts.shape[0], prompts.shape[1]),
        padded_responses=(inputs.shape[0], inputs.shape[1]),
        places=torch.cat([prompt_places.flatten(), response_places.flatten()]),
        may_attend=torch.cat(
            [prompts[prompt_of][:, None].expand(-1, length, -1), causal.expand(len(prompt_of), -1, -1)], dim=2
        )[:, None],
        order=torch.cat([prompts.flatten(), inputs.flatten()]).nonzero().squeeze(1),
    )


class _Pad(torch.autograd.Function):
    """Each token to its padded places. No gradient comes from padding, so that the way back is a selection."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, places: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return tokens.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (order,) = ctx.saved_tensors
        return gradients[0].index_select(0, order), None, None


class _Unpad(torch.autograd.Function):
    """The tokens without padding, which gets a gradient of 0."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        ctx.places = len(padded)
        return padded.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (order,) = ctx.saved_tensors
        padded = gradients[0].new_zeros(ctx.places, *gradients[0].shape[1:])
        return padded.index_copy_(0, order, gradients[0]), None


def _pad(tokens: Tensor, places: Tensor, order: Tensor) -> Tensor:
    """(T, …) → (M, …)."""
    padded: Tensor = _Pad.apply(tokens, places, order)  # type: ignore[no-untyped-call]
    return padded


def _unpad(padded: Tensor, order: Tensor) -> Tensor:
    """(M, …) → (T, …)."""
    tokens: Tensor = _Unpad.apply(padded, order)  # type: ignore[no-untyped-call]
    return tokens


def _left_aligned(lengths: Tensor, at_least: int) -> Tensor:
    """(B,) → (B, L) bool: true at the first `lengths`; L is the largest of them, or `at_least`."""
    width = max(int(lengths.max()), at_least)
    return torch.arange(width, device=lengths.device)[None] < lengths[:, None]


def _counted(mask: Tensor) -> Tensor:
    """(B, L) → (B, L): 0, 1, 2, … along each row."""
    return torch.arange(mask.shape[1], device=mask.device).expand(mask.shape)


def _places(mask: Tensor, start: int) -> Tensor:
    """(B, L): the numbers from `start` on for what is true, row by row; what is not repeats the one before."""
    return start - 1 + mask.flatten().cumsum(0).view(mask.shape)

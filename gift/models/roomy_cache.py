"""Keys and values with room for the tokens to come: transformers' own cache copies all of them for each new token.

Left out: taking tokens away again, as speculative decoding does.
"""

from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

ROOM = 64
"""Tokens that a layer makes room for at a time."""


class RoomyLayer(DynamicLayer):  # type: ignore[misc]  # transformers has no types
    """A layer of a cache; `keys` and `values` are the filled part of what it holds, (B, K, S, D) each."""

    is_croppable = False
    keys: Tensor
    values: Tensor
    held: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Take over (B, K, T, D) each, and return what there is now: (B, K, S + T, D)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        before = self.get_seq_length()
        after = before + key_states.shape[-2]
        if self.held is None or after > self.held[0].shape[-2]:
            self.held = (_with_room(self.keys, key_states, before), _with_room(self.values, value_states, before))
        for part, states in zip(self.held, (key_states, value_states), strict=True):
            part[:, :, before:after] = states
        self.keys, self.values = (part[:, :, :after] for part in self.held)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the rows `indices`, in that order and as often as they are named."""
        if self.held is not None:
            length = self.get_seq_length()
            self.held = (self.held[0].index_select(0, indices), self.held[1].index_select(0, indices))
            self.keys, self.values = (part[:, :, :length] for part in self.held)


def roomy_cache() -> Cache:
    """An empty cache of `RoomyLayer`, for a model whose layers all have full attention."""
    return Cache(layer_class_to_replicate=RoomyLayer)


def _with_room(filled: Tensor, states: Tensor, length: int) -> Tensor:
    rows, heads, new, width = states.shape
    held = states.new_empty(rows, heads, length + new + ROOM, width)
    if length:
        held[:, :, :length] = filled
    return held

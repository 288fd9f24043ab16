"""What a training of adapters leaves, as plain weights: W + α/r · B A for each adapted W of the model it began with.

Rows of W are read, added to and written a few at a time; only A and B of one layer are whole in memory.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from gift.config import LoraConfig
from gift.errors import GiftError
from gift.models.adapter import DOWN, UP, merge
from gift.weights.stored_weights import StoredTensor
from gift.weights.trained_weights import TrainedParameter
from gift.weights.weight_stream import PIECE, StreamedTensor, read_pieces

WEIGHT = ".weight"


def merged_weights(
    checkpoint: Path,
    adapters: Mapping[str, TrainedParameter],
    base: Mapping[str, StoredTensor],
    lora: LoraConfig,
    formats: Mapping[str, torch.dtype],
) -> dict[str, StreamedTensor]:
    """The tensors of `base`, in their `formats`, with the adapters from `checkpoint` merged into those that they adapt.

    Raises:
        GiftError: an adapter is not whole, or does not fit `base`.
    """
    layers = {name.removesuffix(UP + WEIGHT) for name in adapters if name.endswith(UP + WEIGHT)}
    if not layers or adapters.keys() != {layer + part + WEIGHT for layer in layers for part in (DOWN, UP)}:
        raise GiftError(f"checkpoint {checkpoint} does not hold adapters, and nothing else: it was made without lora")
    for layer in layers:
        name, found = layer + WEIGHT, [adapters[layer + part + WEIGHT].shape for part in (UP, DOWN)]
        if name not in base:
            raise GiftError(f"checkpoint {checkpoint} has an adapter for {name}, which the model does not have")
        if found != [(base[name].shape[0], lora.rank), (lora.rank, base[name].shape[1])]:
            raise GiftError(
                f"checkpoint {checkpoint} does not fit: with lora.rank {lora.rank} the adapter of {name}, which is "
                f"{base[name].shape}, can't be of the shapes {found}"
            )

    def stream(name: str) -> StreamedTensor:
        layer, tensor, dtype = name.removesuffix(WEIGHT), base[name], formats[name]
        if layer in layers:
            down, up = adapters[layer + DOWN + WEIGHT], adapters[layer + UP + WEIGHT]
            scale = lora.alpha / lora.rank
            return StreamedTensor(tensor.shape, dtype, lambda: _merged(tensor, down, up, scale, dtype))
        return StreamedTensor(tensor.shape, dtype, lambda: (piece.to(dtype) for piece in read_pieces(tensor, PIECE)))

    return {name: stream(name) for name in base}


def _merged(
    base: StoredTensor, down: TrainedParameter, up: TrainedParameter, scale: float, dtype: torch.dtype
) -> Iterator[Tensor]:
    columns = base.shape[1]
    rows = max(1, PIECE // columns)
    a, b = _whole(down), _whole(up)
    for start, piece in enumerate(read_pieces(base, rows * columns)):
        mine = b[start * rows : (start + 1) * rows]
        yield merge(piece.view(-1, columns), a, mine, scale).to(dtype).view(-1)


def _whole(parameter: TrainedParameter) -> Tensor:
    return torch.cat(list(parameter.pieces())).view(parameter.shape)

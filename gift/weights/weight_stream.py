"""Writes safetensors files piece by piece, and reads them so: no more than a piece of one tensor is in memory for it.

safetensors' own `save_file` takes all tensors of a file at once; of the same tensors it makes the same file, to the
last byte. `gift.weights.stored_weights` has the layout, and reads what they say of themselves.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gift.errors import GiftError
from gift.weights.stored_weights import BITS, StoredTensor

PIECE = 2**18
"""Numbers that are in memory at once."""
_CODES = {torch.float32: "F32", torch.bfloat16: "BF16"}
_FORMATS = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "F64": torch.float64}
"""That are read."""


@dataclass(frozen=True)
class StreamedTensor:
    """A tensor that is made while it is written."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    pieces: Callable[[], Iterable[Tensor]]
    """Its numbers row by row: contiguous tensors of one dimension, on the CPU."""


def write_weights(file: Path, tensors: Mapping[str, StreamedTensor], metadata: Mapping[str, str]) -> None:
    """Write tensors as one file, those of wider number formats first, then by name.

    Raises:
        ValueError: the pieces of a tensor are not as many numbers as its shape says, or of another format.
        OSError: the disk failed.
    """
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header = _header({name: tensors[name] for name in names}, metadata)
    with file.open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        for name in names:
            written = 0
            for piece in tensors[name].pieces():
                if piece.dtype != tensors[name].dtype:
                    raise ValueError(f"{name} comes in {piece.dtype} instead of {tensors[name].dtype} for {file}")
                stream.write(piece.view(torch.uint8).numpy().data)
                written += len(piece)
            if written != math.prod(tensors[name].shape):
                raise ValueError(f"{name} of shape {tensors[name].shape} came as {written} numbers for {file}")


def read_pieces(stored: StoredTensor, numbers: int) -> Iterator[Tensor]:
    """A tensor row by row, as contiguous tensors of one dimension with at most so many `numbers`.

    Raises:
        GiftError: it is in a number format that is not read here, or its file became shorter meanwhile.
    """
    dtype = _FORMATS.get(stored.dtype)
    if dtype is None:
        raise GiftError(f"{stored.file} holds numbers of the format {stored.dtype}; {', '.join(_FORMATS)} are read")
    with stored.file.open("rb") as stream:
        stream.seek(stored.start)
        for start in range(stored.start, stored.end, numbers * dtype.itemsize):
            piece = torch.empty(min(numbers, (stored.end - start) // dtype.itemsize), dtype=dtype)
            if stream.readinto(piece.view(torch.uint8).numpy().data) != piece.nbytes:
                raise GiftError(f"{stored.file} has become shorter while it was read")
            yield piece


def _header(tensors: Mapping[str, StreamedTensor], metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in tensors.items():
        code = _CODES[tensor.dtype]
        start, end = end, end + math.prod(tensor.shape) * BITS[code] // 8
        entries[name] = {"dtype": code, "shape": tensor.shape, "data_offsets": (start, end)}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    return text + b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8

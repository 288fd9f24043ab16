"""The weights that a training ends with, as its ranks leave them: a safetensors file of each rank, with its share.

    rank-0-of-2.safetensors    parameter → the numbers of it that rank 0 holds, (n,) float32
                               metadata: parameter → its shape, and where in it, row by row, these numbers begin

They are the optimizer's float32 master weights. Who writes them gathers nothing from other ranks, and whoever reads
them needs not know how ZeRO cut them: into the halves of one long vector (stages 1 and 2) or each parameter by itself
(stage 3). Reading and writing goes piece by piece, so that neither takes memory that grows with the model.

Left out: moments, learning rate, steps. No training goes on from here; `gift.training.checkpoint` is for that.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from gift.config import Section
from gift.config.section import Count
from gift.errors import GiftError
from gift.models.stored_weights import StoredTensor, read_header, read_metadata
from gift.models.weight_stream import PIECE, StreamedTensor, read_pieces, write_weights

FLOAT32 = 4
_PLACES = "places"
"""Key of the metadata."""


@dataclass(frozen=True)
class Fragment:
    """Numbers of a parameter that lie side by side, as one rank of a training holds them."""

    shape: tuple[int, ...]
    """Of the whole parameter."""
    start: int
    length: int
    numbers: Callable[[], Tensor]
    """(length,) float32, on any device."""


@dataclass(frozen=True)
class TrainedParameter:
    """A parameter that is still on disk."""

    shape: tuple[int, ...]
    fragments: tuple[StoredTensor, ...]
    """In order; together the whole parameter."""

    def pieces(self) -> Iterator[Tensor]:
        """The parameter row by row, (n,) float32 with n ≤ `PIECE`.

        Raises:
            GiftError: a file became shorter meanwhile.
        """
        for fragment in self.fragments:
            yield from read_pieces(fragment, PIECE)


class _Place(Section):
    """Where the numbers of a fragment belong."""

    shape: tuple[Count, ...]
    start: Count


_places = TypeAdapter(dict[str, _Place])


def write_share(folder: Path, rank: int, ranks: int, fragments: Mapping[str, Fragment]) -> None:
    """Write what one of `ranks` ranks holds into a folder that is there."""
    places = {name: _Place(shape=fragment.shape, start=fragment.start) for name, fragment in fragments.items()}
    tensors = {name: StreamedTensor((part.length,), partial(_on_cpu, part)) for name, part in fragments.items()}
    metadata = {_PLACES: _places.dump_json(places).decode()}
    write_weights(_file_of(folder, rank, ranks), torch.float32, tensors, metadata)


def read_trained_weights(folder: Path) -> dict[str, TrainedParameter]:
    """The parameters by name, tied ones once, under their first name; their numbers are not read yet.

    Raises:
        GiftError: there are none, the file of a rank is missing, or a file is damaged.
    """
    names = [
        match for path in folder.glob("rank-*") if (match := re.fullmatch(r"rank-\d+-of-(\d+)\.safetensors", path.name))
    ]
    if not names:
        raise GiftError(f"there are no trained weights in {folder}: no file of any rank")
    ranks = int(names[0][1])
    parts: defaultdict[str, list[tuple[_Place, StoredTensor]]] = defaultdict(list)
    for rank in range(ranks):
        file = _file_of(folder, rank, ranks)
        if not file.exists():
            raise GiftError(f"the trained weights in {folder} are of {ranks} ranks, but there is no {file.name}")
        for name, part in _read_share(file).items():
            parts[name].append(part)
    return {name: _parameter(folder, name, found) for name, found in parts.items()}


def _file_of(folder: Path, rank: int, ranks: int) -> Path:
    return folder / f"rank-{rank}-of-{ranks}.safetensors"


def _on_cpu(fragment: Fragment) -> Iterator[Tensor]:
    numbers = fragment.numbers().detach()
    for start in range(0, fragment.length, PIECE):
        yield numbers[start : start + PIECE].cpu()


def _read_share(file: Path) -> dict[str, tuple[_Place, StoredTensor]]:
    tensors = read_header(file)
    try:
        places = _places.validate_json(read_metadata(file).get(_PLACES, ""))
    except ValidationError as error:
        raise GiftError(f"{file} is damaged: its metadata do not say where its numbers belong") from error
    if tensors.keys() != places.keys() or any(tensor.dtype != "F32" for tensor in tensors.values()):
        raise GiftError(f"{file} is damaged: its metadata are of other tensors")
    return {name: (places[name], tensor) for name, tensor in tensors.items()}


def _parameter(folder: Path, name: str, parts: list[tuple[_Place, StoredTensor]]) -> TrainedParameter:
    parts = sorted(parts, key=lambda part: part[0].start)
    shape, end = parts[0][0].shape, 0
    for place, stored in parts:
        if place.shape != shape or place.start != end:
            raise GiftError(f"the trained weights in {folder} are damaged: the parts of {name} do not fit together")
        end += (stored.end - stored.start) // FLOAT32
    if end != math.prod(shape):
        raise GiftError(f"the trained weights in {folder} hold {end} of the {math.prod(shape)} numbers of {name}")
    return TrainedParameter(shape, tuple(stored for _, stored in parts))

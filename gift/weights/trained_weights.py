"""The weights of a training as its ranks leave them: a safetensors file of each rank, with its share.

    rank-0-of-2.safetensors    parameter → the numbers of it that rank 0 holds, (n,) float32
                               metadata: parameter → its shape, and where in it, row by row, these numbers begin

They are the optimizer's float32 master weights. Who writes them gathers nothing from other ranks, and whoever reads
them needs not know how ZeRO cut them: into the halves of one long vector (stages 1 and 2) or each parameter by itself
(stage 3). Reading and writing goes piece by piece, so that neither takes memory that grows with the model.

A training ends with them, and nothing else: no training goes on from that. What one does go on from has AdamW's moments
in the same form beside them (`gift.training.checkpoint`).
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from gift.config import Section
from gift.config.section import Count
from gift.errors import GiftError
from gift.weights.stored_weights import StoredTensor, read_header, read_metadata
from gift.weights.weight_stream import PIECE, StreamedTensor, read_pieces, write_weights

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
class StoredFragment:
    """Numbers of a parameter as one rank has left them."""

    start: int
    """Where in the parameter they begin, row by row."""
    stored: StoredTensor

    @property
    def end(self) -> int:
        """Where the next ones would begin."""
        return self.start + (self.stored.end - self.stored.start) // FLOAT32

    def part(self, start: int, end: int) -> StoredTensor:
        """The numbers of the parameter from `start` on and before `end`, all of which it holds."""
        first, last = (self.stored.start + FLOAT32 * (number - self.start) for number in (start, end))
        return replace(self.stored, shape=(end - start,), start=first, end=last)


@dataclass(frozen=True)
class TrainedParameter:
    """A parameter that is still on disk."""

    name: str
    shape: tuple[int, ...]
    fragments: tuple[StoredFragment, ...]
    """In order."""

    def pieces(self) -> Iterator[Tensor]:
        """The parameter row by row, (n,) float32 with n ≤ `PIECE`; raises as `between`."""
        yield from self.between(0, math.prod(self.shape))

    def between(self, start: int, end: int) -> Iterator[Tensor]:
        """Its numbers from `start` on and before `end`, (n,) float32 with n ≤ `PIECE`.

        Raises:
            GiftError: no fragment holds some of them, or a file became shorter meanwhile.
        """
        for fragment in self.fragments:
            if fragment.start <= start < fragment.end:
                until = min(end, fragment.end)
                yield from read_pieces(fragment.part(start, until), PIECE)
                start = until
        if start < end:
            raise GiftError(f"the numbers {start} to {end - 1} of {self.name} are in no file of any rank")


class _Place(Section):
    """Where the numbers of a fragment belong."""

    shape: tuple[Count, ...]
    start: Count


_places = TypeAdapter(dict[str, _Place])


def write_share(folder: Path, rank: int, ranks: int, fragments: Mapping[str, Fragment]) -> None:
    """Write what one of `ranks` ranks holds into a folder that is there."""
    places = {name: _Place(shape=fragment.shape, start=fragment.start) for name, fragment in fragments.items()}
    tensors = {
        name: StreamedTensor((part.length,), torch.float32, partial(_on_cpu, part)) for name, part in fragments.items()
    }
    metadata = {_PLACES: _places.dump_json(places).decode()}
    write_weights(_file_of(folder, rank, ranks), tensors, metadata)


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
    parameters = read_shares(folder, range(ranks), ranks)
    for parameter in parameters.values():
        _check_whole(folder, parameter)
    return parameters


def read_shares(folder: Path, of: Iterable[int], ranks: int) -> dict[str, TrainedParameter]:
    """What some of `ranks` ranks have left of the parameters, by name; their numbers are not read yet.

    Raises:
        GiftError: the file of one of them is missing, or damaged.
    """
    parts: defaultdict[str, list[tuple[_Place, StoredTensor]]] = defaultdict(list)
    for rank in of:
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
    shape = parts[0][0].shape
    if any(place.shape != shape for place, _ in parts):
        raise _unfit(folder, name)
    fragments = sorted((StoredFragment(place.start, stored) for place, stored in parts), key=lambda part: part.start)
    return TrainedParameter(name, shape, tuple(fragments))


def _check_whole(folder: Path, parameter: TrainedParameter) -> None:
    end, numbers = 0, math.prod(parameter.shape)
    for fragment in parameter.fragments:
        if fragment.start != end:
            raise _unfit(folder, parameter.name)
        end = fragment.end
    if end != numbers:
        raise GiftError(f"the trained weights in {folder} hold {end} of the {numbers} numbers of {parameter.name}")


def _unfit(folder: Path, name: str) -> GiftError:
    return GiftError(f"the trained weights in {folder} are damaged: the parts of {name} do not fit together")

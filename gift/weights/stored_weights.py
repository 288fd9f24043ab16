"""What safetensors files say of themselves: which tensors they hold, of which shape, and where. Reads headers only.

    8 bytes           length of the header, little-endian
    so many bytes     JSON: name → {dtype, shape, data_offsets}, and perhaps __metadata__
    the rest          the tensors, one after the other, without gaps

A file that is cut short, damaged or something else is refused here: what loads it later would say so in its own words,
or not at all. Imports neither torch nor safetensors, so that the command line may ask.
Left out: weights in subfolders, which no run copies, and files that no index names.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gift.errors import GiftError
from gift.host.small_file import read_small_file

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
METADATA = "__metadata__"
MOST_HEADER_BYTES = 100_000_000
"""What safetensors itself takes."""
MOST_DIMENSIONS, LARGEST_DIMENSION = 16, 2**40
"""Of a tensor; the product of larger numbers would take minutes."""
BITS = {
    **{"F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16},
    **{"U16": 16, "I8": 8, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8},
}
"""Of an element; the size of a tensor in another format is not compared with its shape."""
_CHUNK = 2**20


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies: the bytes from `start` to `end` of `file`."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """The tensors of a model folder by name, from the files that transformers would read.

    Raises:
        GiftError: there are no safetensors, a file is damaged, or the index and the files don't agree.
    """
    if (folder / WEIGHTS).exists():
        return read_header(folder / WEIGHTS)
    if (folder / INDEX).exists():
        return _read_shards(folder)
    if any(folder.glob("*.bin")):
        raise GiftError(
            f"model folder {folder} has pickled weights only (*.bin), which are never read; convert it to safetensors "
            "once: load it and save_pretrained(folder), where you trust it"
        )
    raise GiftError(f"model folder {folder} has no weights: neither {WEIGHTS} nor {INDEX}")


def read_header(file: Path) -> dict[str, StoredTensor]:
    """The tensors of one safetensors file, by name.

    Raises:
        GiftError: it can't be read, or is no whole safetensors file.
    """
    header, data, size = _header(file)
    tensors = {name: _stored_tensor(file, name, entry, data) for name, entry in header.items() if name != METADATA}
    _check_offsets(file, tensors, data, size)
    return tensors


def read_metadata(file: Path) -> dict[str, str]:
    """What one safetensors file says besides its tensors; raises as `read_header`."""
    metadata = _header(file)[0].get(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(file, "its metadata are no texts")
    return metadata


def _header(file: Path) -> tuple[dict[str, Any], int, int]:
    """(the header, where the tensors begin, bytes of the file)."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(size - 8, MOST_HEADER_BYTES):
                raise _damaged(file, f"its header would have {length:,} bytes, the file has {size:,}")
            header = json.loads(stream.read(length))
    except OSError as error:
        raise GiftError(f"{file} can't be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(file, f"its header is no JSON ({type(error).__name__})") from error
    if not isinstance(header, dict):
        raise _damaged(file, "its header is no JSON object")
    return header, 8 + length, size


def same_values(one: StoredTensor, other: StoredTensor) -> bool:
    """Whether two tensors are the same to the last byte; the values of two formats are never the same."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return all(a == b for a, b in zip(_chunks(one), _chunks(other), strict=True))


def _read_shards(folder: Path) -> dict[str, StoredTensor]:
    index = read_json_object(folder / INDEX)
    shard_of = index.get("weight_map")
    if not isinstance(shard_of, dict) or not all(isinstance(shard, str) for shard in shard_of.values()):
        raise GiftError(f"{folder / INDEX} has no weight_map from tensors to files; fetch it again")
    tensors: dict[str, StoredTensor] = {}
    for shard in sorted(set(shard_of.values())):
        if Path(shard).name != shard or not (folder / shard).exists():
            raise GiftError(f"model folder {folder} has no {shard}, which its {INDEX} names; fetch it again")
        found = read_header(folder / shard)
        if twice := sorted(found.keys() & tensors.keys()):
            raise GiftError(f"{folder / shard} holds {twice[0]}, which {tensors[twice[0]].file.name} holds as well")
        tensors |= found
    for name, shard in shard_of.items():
        if name not in tensors or tensors[name].file.name != shard:
            raise GiftError(f"{folder / shard} holds no {name}, against what {INDEX} says; fetch both again")
    return tensors


def read_json_object(file: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        GiftError: it can't be read, or is something else.
    """
    try:
        values = json.loads(read_small_file(file))
    except (ValueError, RecursionError) as error:
        raise GiftError(f"{file} can't be read as JSON ({type(error).__name__}); fetch it again") from error
    if not isinstance(values, dict):
        raise GiftError(f"{file} holds no JSON object; fetch it again")
    return values


def _stored_tensor(file: Path, name: str, entry: object, data: int) -> StoredTensor:
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(start), int(end)]} if (
            len(shape) <= MOST_DIMENSIONS
            and all(isinstance(size, int) and 0 <= size <= LARGEST_DIMENSION for size in shape)
            and 0 <= start <= end <= LARGEST_DIMENSION
        ):
            if dtype in BITS and (end - start) * 8 != math.prod(shape) * BITS[dtype]:
                raise _damaged(file, f"{name} of shape {tuple(shape)} in {dtype} has {end - start:,} bytes")
            return StoredTensor(file, dtype, tuple(shape), data + start, data + end)
    raise _damaged(file, f"its header does not say where {name} is")


def _check_offsets(file: Path, tensors: dict[str, StoredTensor], data: int, size: int) -> None:
    """One tensor after the other from the header to the end of the file."""
    end = data
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != end:
            raise _damaged(file, f"{name} begins at byte {tensor.start:,}, where the one before it ends at {end:,}")
        end = tensor.end
    if end != size:
        raise _damaged(file, f"its tensors end at byte {end:,}, the file has {size:,}")


def _damaged(file: Path, what: str) -> GiftError:
    return GiftError(f"{file} is damaged or no safetensors file: {what}; fetch or save it again")


def _chunks(tensor: StoredTensor) -> Iterator[bytes]:
    with tensor.file.open("rb") as stream:
        stream.seek(tensor.start)
        for start in range(tensor.start, tensor.end, _CHUNK):
            yield stream.read(min(_CHUNK, tensor.end - start))

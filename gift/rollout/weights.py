"""The policy's weights on their way to an engine in another process: portion by portion through shared memory.

    policy ── tensor by tensor ──> /dev/shm/gift-weights-…/*.safetensors ── mapped by the engine ──> removed, next

Left out: passing GPU memory itself between processes, which needs pickled handles, and models whose parameters have
other names in memory than in their files (mixtures of experts in transformers 5).
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gift.config.surroundings import VLLM_WEIGHTS
from gift.errors import GiftError
from gift.models.adapter import plain_weights
from gift.rollout.ranks import Ranks
from gift.rollout.weight_sums import Sums, WeightSum, weight_sum
from gift.weights.portions import PORTION_BYTES, plan_portions

SUMS = "sums.json"
"""Beside the weights: what an engine that has loaded them must hold."""


@dataclass(frozen=True)
class Weights:
    """A model's weights, to be read once; all ranks that hold parts of it read them together, to the end."""

    sizes: Sequence[tuple[str, int]]
    """Name and number of elements of every tensor."""
    tensors: Iterable[tuple[str, Tensor]]
    """In the same order, every name in the model's state with its tensor, which is whole until the next one is asked
    for; adapters are merged into what they adapt."""

    def bytes_as(self, dtype: torch.dtype) -> list[tuple[str, int]]:
        """Name and bytes of every tensor in a number format."""
        return [(name, elements * dtype.itemsize) for name, elements in self.sizes]


def whole_weights(model: nn.Module) -> Weights:
    """Of a model that this rank holds whole."""
    weights = list(plain_weights(model))
    return Weights(
        [(weight.name, weight.tensor.numel()) for weight in weights],
        ((weight.name, weight.merged()) for weight in weights),
    )


def in_portions(weights: Weights, dtype: torch.dtype, most: float) -> Iterator[Weights]:
    """The weights some layers at a time, `most` bytes in `dtype`; each portion is read to its end before the next."""
    tensors, first = iter(weights.tensors), 0
    for count in plan_portions(weights.bytes_as(dtype), most):
        yield Weights(weights.sizes[first : first + count], islice(tensors, count))
        first += count
    for _ in tensors:
        pass  # there is none, but now the last one is let go


@contextmanager
def shared_weights(weights: Weights, dtype: torch.dtype, ranks: Ranks) -> Iterator[Path]:
    """A folder with `weights` in `dtype`, for all `ranks`, who all call this; it is removed in the end.

    Raises:
        GiftError: there is no room for them.
    """
    ranks.wait()  # nobody samples any more
    if ranks.leads:
        folder = Path(tempfile.mkdtemp(prefix="gift-weights-", dir=_place(weights, dtype)))
        try:
            _write(weights, dtype, folder)
            yield Path(ranks.tell(str(folder)))
            ranks.wait()
        finally:
            shutil.rmtree(folder)
    else:
        for _ in weights.tensors:
            pass  # this rank's part goes to the one that writes
        yield Path(ranks.tell(""))
        ranks.wait()


def _place(weights: Weights, dtype: torch.dtype) -> Path:
    """Shared memory where there is enough of it (containers often have 64 MiB), else the folder for temporary files."""
    needed = sum(size for _, size in weights.bytes_as(dtype))
    named = os.environ.get(VLLM_WEIGHTS)
    places = [Path(named)] if named else [Path("/dev/shm"), Path(tempfile.gettempdir())]  # noqa: S108
    for place in places:
        if place.is_dir() and shutil.disk_usage(place).free > needed:
            return place
    raise GiftError(
        f"weights on their way to vLLM need {needed / 2**30:.1f} GiB, which {' and '.join(map(str, places))} do not "
        f"have; give the container more shared memory or set {VLLM_WEIGHTS}"
    )


def _write(weights: Weights, dtype: torch.dtype, folder: Path) -> None:
    """Every name of a tied weight is written: vLLM packs a copy of the embedding for its head and loads each by name.

    Were the head left out, vLLM would keep the old one without a word.
    """
    sums: dict[str, WeightSum] = {}
    for number, portion in enumerate(in_portions(weights, dtype, PORTION_BYTES)):  # what a rank's own memory holds
        tensors: dict[str, Tensor] = {}
        for name, tensor in portion.tensors:
            value = tensor.detach().to(dtype if tensor.is_floating_point() else tensor.dtype)
            sums[name] = weight_sum(value)  # where it is, which may be a GPU
            value = value.to("cpu").contiguous()
            if any(value.data_ptr() == other.data_ptr() for other in tensors.values()):
                value = value.clone()  # a file has no two names for one tensor
            tensors[name] = value
        save_file(tensors, folder / f"weights-{number:05}.safetensors")
    (folder / SUMS).write_text(json.dumps(sums))


def sums_of(folder: Path) -> Sums:
    """Of the weights in a folder that `shared_weights` gave."""
    return {name: WeightSum(*values) for name, values in json.loads((folder / SUMS).read_text()).items()}

"""The weights of a training engine's model, of which every rank holds only a part under ZeRO-3: one whole after the
other, or all of them part by part. No rank ever holds the whole model for it.

With `engine` and `checkpoint` the only module that knows DeepSpeed. Under ZeRO-1 and 2 every weight is whole anyway;
only the optimizer's float32 master weights are cut into parts.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from deepspeed.utils import safe_get_local_fp32_param
from torch import Tensor, nn

from gift.models.adapter import PlainWeight, plain_weights
from gift.models.trained_weights import Fragment, write_share
from gift.rollout.weights import Weights


def sharded_weights(model: nn.Module) -> Weights:
    """Each tensor is gathered when it is its turn, and let go after it. All ranks."""
    weights = list(plain_weights(model))
    return Weights(sum(_elements(weight.tensor) for weight in weights), _one_by_one(weights))


def _elements(tensor: Tensor) -> int:
    return int(getattr(tensor, "ds_numel", tensor.numel()))


def _one_by_one(weights: list[PlainWeight]) -> Iterator[tuple[str, Tensor]]:
    for weight in weights:
        with deepspeed.zero.GatheredParameters(weight.parts):  # does nothing to a tensor that is whole
            yield weight.name, weight.merged()


@torch.no_grad()
def scale_weights(model: nn.Module, factor: float) -> None:
    """Multiply every parameter in place, but not the optimizer's own copies of them. All ranks."""
    parameter: Any  # DeepSpeed gives them parts that torch's own type does not know
    for parameter in model.parameters():
        if hasattr(parameter, "ds_tensor"):
            parameter.partition()  # DeepSpeed keeps small ones whole between two steps
            parameter.ds_tensor.mul_(factor)
        else:
            parameter.mul_(factor)


def save_trained_weights(model: nn.Module, folder: Path) -> None:
    """Leave this rank's part of the master weights in `folder`: what a conversion needs, and nothing to go on from.

    All ranks; none waits for another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rank, ranks = dist.get_rank(), dist.get_world_size()
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    fragments = {name: _own_fragment(parameter, rank) for name, parameter in trained.items()}
    write_share(folder, rank, ranks, {name: fragment for name, fragment in fragments.items() if fragment})


def _own_fragment(parameter: Any, rank: int) -> Fragment | None:
    """What of a parameter's master weights this rank has; None for nothing."""
    if hasattr(parameter, "ds_id"):  # ZeRO-3: equal parts of each parameter, the last one filled up
        part = parameter.ds_tensor.ds_numel
        start = rank * part
        length = min(part, parameter.ds_numel - start)
        if length <= 0:
            return None
        return Fragment(tuple(parameter.ds_shape), start, length, lambda: safe_get_local_fp32_param(parameter)[:length])
    held = parameter._hp_mapping
    if held is None:
        return None
    place = held.lp_fragment_address
    return Fragment(tuple(parameter.shape), place.start, place.numel, lambda: held.hp_fragment)

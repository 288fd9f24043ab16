"""The weights of a training engine's model, of which every rank holds only a part under ZeRO-3: one whole after the
other, or all of them part by part. No rank ever holds the whole model for it.

With `engine` and `checkpoint` the only module that knows DeepSpeed. Under ZeRO-1 and 2 every weight is whole anyway.
"""

from collections.abc import Iterator
from typing import Any

import deepspeed
import torch
from torch import Tensor, nn

from gift.rollout.weights import Weights


def sharded_weights(model: nn.Module) -> Weights:
    """Each tensor is gathered when it is its turn, and let go after it. All ranks."""
    tensors = model.state_dict(keep_vars=True)  # detached ones would not know their parts
    return Weights(sum(map(_elements, tensors.values())), _one_by_one(tensors))


def _elements(tensor: Tensor) -> int:
    return int(getattr(tensor, "ds_numel", tensor.numel()))


def _one_by_one(tensors: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors.items():
        with deepspeed.zero.GatheredParameters(tensor):  # does nothing to a tensor that is whole
            yield name, tensor


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

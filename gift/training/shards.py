"""The weights of a training engine's model, of which every rank holds only a part under ZeRO-3: one whole after the
other, or all of them part by part. No rank ever holds the whole model for it.

With `engine` and `checkpoint` the only module that knows DeepSpeed. Under ZeRO-1 and 2 every weight is whole anyway;
only the optimizer's float32 master weights and moments are cut into parts.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from torch import Tensor, nn

from gift.models.adapter import PlainWeight, has_adapter, plain_weights
from gift.rollout.weights import Weights
from gift.weights.trained_weights import Fragment, write_share


def sharded_weights(model: nn.Module) -> Weights:
    """Each tensor is gathered when it is its turn, and let go after it. All ranks."""
    weights = list(plain_weights(model))
    return Weights([(weight.name, _elements(weight.tensor)) for weight in weights], _one_by_one(weights))


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


@dataclass(frozen=True)
class HeldFragment:
    """What of a parameter this rank's optimizer holds: numbers that lie side by side, in the parameter and here."""

    shape: tuple[int, ...]
    """Of the whole parameter."""
    start: int
    """Where in the parameter they begin, row by row."""
    length: int
    vector: Tensor
    """The optimizer's long vector of master weights that has them, (n,) float32; moments are vectors like it."""
    offset: int
    """Where in the vector they begin."""

    def part_of(self, vector: Tensor) -> Tensor:
        """The same place of a vector that is as long, (length,)."""
        return vector[self.offset : self.offset + self.length]


def optimizer_vectors(engine: deepspeed.DeepSpeedEngine) -> list[Tensor]:
    """All vectors of master weights that this rank's optimizer holds, (n,) float32 each."""
    zero = engine.optimizer
    if engine.zero_optimization_partition_weights():
        return list(zero.fp32_partitioned_groups_flat)
    return [vector for group in zero.optimizer.param_groups for vector in group["params"]]


def held_fragments(engine: deepspeed.DeepSpeedEngine) -> dict[str, HeldFragment]:
    """What this rank's optimizer holds of the parameters that are trained, by their names."""
    trained = {name: parameter for name, parameter in engine.module.named_parameters() if parameter.requires_grad}
    own = {name: _own_fragment(engine, parameter) for name, parameter in trained.items()}
    return {name: fragment for name, fragment in own.items() if fragment}


def save_fragments(
    engine: deepspeed.DeepSpeedEngine, folder: Path, vector_like: Callable[[Tensor], Tensor] = lambda vector: vector
) -> None:
    """Leave this rank's part of the master weights in `folder`, or of the vectors that lie beside theirs.

    All ranks; none waits for another.
    """
    _write(folder, _fragments(engine, vector_like))


def save_weights(engine: deepspeed.DeepSpeedEngine, folder: Path) -> None:
    """Leave all that a conversion needs: each rank its part of the master weights, the first one what nobody trains.

    All ranks.
    """
    fragments = _fragments(engine, lambda vector: vector)
    untrained = _untrained(engine.module)
    if dist.get_rank() == 0:
        fragments |= {
            name: Fragment(tuple(tensor.shape), 0, tensor.numel(), tensor.flatten().clone)
            for name, tensor in untrained.items()
        }
    _write(folder, fragments)


def _fragments(engine: deepspeed.DeepSpeedEngine, vector_like: Callable[[Tensor], Tensor]) -> dict[str, Fragment]:
    return {
        name: Fragment(held.shape, held.start, held.length, partial(_part_like, held, vector_like))
        for name, held in held_fragments(engine).items()
    }


def _untrained(model: nn.Module) -> dict[str, Tensor]:
    """Buffers that a model's folder holds and parameters that transformers freezes, on the CPU in float32. All ranks.

    Nothing where adapters are trained: what is under them is in the folder that they were trained from.
    """
    if has_adapter(model):
        return {}
    seen, found = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}, {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            with deepspeed.zero.GatheredParameters([tensor]):  # does nothing to a tensor that is whole
                found[name] = tensor.detach().to("cpu", torch.float32, copy=True)
    return found


def _write(folder: Path, fragments: Mapping[str, Fragment]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_share(folder, dist.get_rank(), dist.get_world_size(), fragments)


@torch.no_grad()
def refresh_weights(engine: deepspeed.DeepSpeedEngine) -> None:
    """Make the model's weights the master weights, rounded to its number format. All ranks."""
    zero = engine.optimizer
    if not engine.zero_optimization_partition_weights():
        zero.update_lp_params()
        return
    zero.checkpoint_event_prologue()  # lets go of small parameters, which DeepSpeed keeps whole between two steps
    for group in range(len(zero.fp32_partitioned_groups_flat)):
        zero._reassign_or_swap_out_partitioned_parameters(group)
    zero.checkpoint_event_epilogue()


def _part_like(held: HeldFragment, vector_like: Callable[[Tensor], Tensor]) -> Tensor:
    return held.part_of(vector_like(held.vector))


def _own_fragment(engine: deepspeed.DeepSpeedEngine, parameter: Any) -> HeldFragment | None:
    """None for nothing."""
    zero = engine.optimizer
    if engine.zero_optimization_partition_weights():  # equal parts of each parameter, the last one filled up
        part = parameter.ds_tensor.ds_numel
        start = dist.get_rank() * part
        length = min(part, parameter.ds_numel - start)
        if length <= 0:
            return None
        group, offset, _ = zero.grad_position[zero.get_param_id(parameter)]
        vector = zero.fp32_partitioned_groups_flat[group]
        return HeldFragment(tuple(parameter.ds_shape), start, length, vector, offset)
    held = parameter._hp_mapping
    if held is None:
        return None
    place = held.lp_fragment_address
    (vector,) = zero.optimizer.param_groups[held.param_group_index]["params"]
    return HeldFragment(tuple(parameter.shape), place.start, place.numel, vector, held.hp_fragment_address.start)

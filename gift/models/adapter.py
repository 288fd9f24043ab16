"""LoRA (arXiv 2106.09685): every linear layer but the head gets an adapter, W + α/r · B A, and W stays as it is.

    x (…, in) ──> x Wᵀ + α/r · (x Aᵀ) Bᵀ     A (r, in) random, B (out, r) zero, so that nothing changes at first

peft puts the adapters in, and computes with them. The model without its adapters is the one that training started from,
so that it needs no second copy of itself as the reference policy. Whoever wants plain weights (vLLM, a conversion) gets
W + α/r · B A under the name that W had before.

Left out: dropout, biases, adapters for embeddings and heads, and layers that are no `torch.nn.Linear`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from gift.config import LoraConfig
from gift.errors import GiftError

NAME = "default"
"""peft's own for an adapter without a name."""
BASE, DOWN, UP = ".base_layer", f".lora_A.{NAME}", f".lora_B.{NAME}"
"""What peft puts between a layer's name and `.weight`: for W, A and B."""


@dataclass(frozen=True)
class PlainWeight:
    """A tensor of a model as it is called without adapters, and what is added to it."""

    name: str
    tensor: Tensor
    down: Tensor | None = None
    """A (r, in); None: nothing is added."""
    up: Tensor | None = None
    """B (out, r)"""
    scale: float = 1.0
    """α/r"""

    @property
    def parts(self) -> list[Tensor]:
        """What must be whole before `merged` is called."""
        return [part for part in (self.tensor, self.down, self.up) if part is not None]

    def merged(self) -> Tensor:
        """The tensor itself, or W + α/r · B A, then in float32 or more precise."""
        if self.down is None or self.up is None:
            return self.tensor
        return merge(self.tensor.detach(), self.down.detach(), self.up.detach(), self.scale)


def merge(weight: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
    """(n, in), (r, in), (n, r) → (n, in) W + scale · B A, in float32 or more precise."""
    precise = torch.promote_types(weight.dtype, torch.float32)
    return torch.addmm(weight.to(precise), up.to(precise), down.to(precise), alpha=scale)


def add_adapter(model: PreTrainedModel, lora: LoraConfig, seed: int) -> PreTrainedModel:
    """Put adapters into `model`, in float32, and freeze all else; the same ones wherever the seed is the same.

    Raises:
        GiftError: the model has no linear layers beside its head, some of its layers are one and the same, or peft
            can't adapt just these layers.
    """
    import peft  # takes seconds, and only models with adapters need it

    layers = _layers(model)
    config = peft.LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=layers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            adapted: PreTrainedModel = peft.inject_adapter_in_model(config, model)
        except ValueError as error:
            raise _refusal(model, f"is refused by peft ({' '.join(str(error).split())})") from error
    found = {name.partition(DOWN)[0] for name, _ in adapted.named_parameters() if DOWN in name}
    if other := sorted(found ^ set(layers)):  # what peft knows of a family may come before what it was asked for
        raise _refusal(model, f"gets adapters from peft in other layers than those asked for, such as {other[0]}")
    for name, parameter in adapted.named_parameters():
        parameter.requires_grad_(DOWN in name or UP in name)
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapted


def _layers(model: PreTrainedModel) -> list[str]:
    """Names of the linear layers but the head; what only inherits from `torch.nn.Linear` computes something else."""
    head, names = model.get_output_embeddings(), list(model.named_modules(remove_duplicate=False))
    found = [
        (name, layer)
        for name, layer in names
        if isinstance(layer, nn.Linear) and type(layer).forward is nn.Linear.forward and layer is not head
    ]
    if not found:
        raise _refusal(model, "has no torch.nn.Linear layers to adapt")
    if len({id(layer.weight) for _, layer in found}) < len(found):
        raise _refusal(model, "has layers that share their weights, which can't have an adapter each")
    return [name for name, _ in found]


def _refusal(model: PreTrainedModel, reason: str) -> GiftError:
    return GiftError(
        f"lora: this model, of model_type {model.config.model_type}, {reason}; train all its weights: set lora to null"
    )


def has_adapter(model: nn.Module) -> bool:
    """Whether `add_adapter` was called on it."""
    return any(DOWN in name for name, _ in model.named_parameters())


@contextmanager
def without_adapter(model: nn.Module) -> Iterator[None]:
    """Inside, `model` computes what it did before `add_adapter`, to the last bit."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


@contextmanager
def unrounded_inputs(model: nn.Module) -> Iterator[None]:
    """Inside, adapters take what they get as it is, and don't round it to the number format that they have before."""
    if not has_adapter(model):
        yield
        return
    from peft.helpers import disable_input_dtype_casting

    with disable_input_dtype_casting(model):
        yield


def plain_weights(model: nn.Module) -> Iterator[PlainWeight]:
    """Every tensor in the state of a model, with adapters or without, under its plain name; parts are still apart."""
    tensors = model.state_dict(keep_vars=True)
    for name, tensor in tensors.items():
        if DOWN in name or UP in name:
            continue
        layer, adapted, kind = name.partition(BASE)
        if adapted and kind == ".weight":
            adapter: Any = model.get_submodule(layer)
            down, up = (tensors[layer + part + kind] for part in (DOWN, UP))
            yield PlainWeight(layer + kind, tensor, down, up, scale=adapter.scaling[NAME])
        else:
            yield PlainWeight(layer + kind, tensor)

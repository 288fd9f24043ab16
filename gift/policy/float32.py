"""A model that computes in float32 for a moment, whatever its number format: what its own format loses shows beside it.

Each module's weights are widened while that module runs and no longer, so that there is never a second model. The
parameters themselves are not touched (DeepSpeed has hooks on them), and where ZeRO-3 gathers a module's weights for a
call, they are widened after that and given back before it lets go of them.

Left out: the backward pass, and modules that use another module's parameters.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gift.models.adapter import unrounded_inputs


@contextmanager
def in_float32(model: nn.Module) -> Iterator[None]:
    """Inside, every call of `model`, or of a part of it, computes in float32 with its weights as they are rounded."""
    with torch.no_grad(), unrounded_inputs(model), ExitStack() as hooks:
        for module in model.modules():
            if module._parameters:
                hooks.enter_context(_widened(module))
        yield


@contextmanager
def _widened(module: nn.Module) -> Iterator[None]:
    table: dict[str, Tensor | None] = vars(module)[
        "_parameters"
    ]  # for torch only parameters, as which these don't count
    own: dict[str, Tensor | None] = {}

    def widen(_module: nn.Module, _inputs: Any) -> None:
        own.update(table)
        table.update({name: value.detach().float() for name, value in own.items() if value is not None})

    def give_back(_module: nn.Module, _inputs: Any, _output: Any) -> None:
        table.update(own)

    before = module.register_forward_pre_hook(widen)
    after = module.register_forward_hook(give_back, prepend=True, always_call=True)
    try:
        yield
    finally:
        before.remove()
        after.remove()

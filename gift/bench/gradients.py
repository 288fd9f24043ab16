"""The gradient of one step, whatever optimizer and however many micro-batches."""

import functools

from torch import Tensor, nn


class GradientSum:
    """Adds up what backward passes bring to a model's parameters, until it is taken; before any clipping."""

    def __init__(self, model: nn.Module) -> None:
        self._sums: dict[str, Tensor] = {}
        self._hooks = [
            parameter.register_hook(functools.partial(self._add, name))  # type: ignore[no-untyped-call]
            for name, parameter in model.named_parameters()
        ]

    def take(self) -> dict[str, Tensor]:
        """By the names of the parameters; from now on nothing is added."""
        for hook in self._hooks:
            hook.remove()
        taken, self._sums = self._sums, {}
        return taken

    def _add(self, name: str, gradient: Tensor) -> None:
        summand = gradient.float()  # bf16 would lose most of what later micro-batches bring
        self._sums[name] = self._sums[name] + summand if name in self._sums else summand.clone()

"""Activation checkpointing: of each layer only the input is kept, and its forward pass is done again when its gradient
is due (Chen et al. 2016, arXiv 1604.06174).

transformers has a switch for it, which does nothing unless the model is in training mode; that would turn dropout on as
well, where policy and reference must compute the same. Here it holds in every mode, and needs no gradient to be free.
"""

import functools

from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from gift.errors import GiftError


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Do so from now on.

    Raises:
        GiftError: the model has no layers that can be computed again.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, GradientCheckpointingLayer)]
    if not layers:
        raise GiftError(
            f"compute.activation_checkpointing: the layers of {type(model).__name__} can't be computed again; "
            "set it to false"
        )
    for layer in layers:
        again = functools.partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
        functools.update_wrapper(again, layer.forward)  # transformers looks at the arguments
        layer.forward = again

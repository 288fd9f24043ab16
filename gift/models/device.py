"""Where a stage computes: what `compute.device` means on this machine. Nobody else asks torch whether there is a GPU.

Left out: which of several GPUs; a rank takes that of its number, and a stage without ranks takes the first.
"""

import torch

from gift.config import Device
from gift.errors import GiftError


def choose_device(setting: Device) -> torch.device:
    """`cpu` or `cuda`; `auto` takes a GPU where there is one.

    Raises:
        GiftError: the setting is cuda, and torch finds no GPU.
    """
    gpu = torch.cuda.is_available()
    if setting == "cuda" and not gpu:
        raise GiftError(
            "compute.device is cuda, but torch finds no GPU on this machine; set compute.device to cpu or auto, or "
            "look for a missing driver and for a CPU build of torch"
        )
    return torch.device("cuda" if gpu and setting != "cpu" else "cpu")

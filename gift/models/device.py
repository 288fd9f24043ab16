"""Where a stage computes: what `compute.device` means on this machine. Nobody else asks torch whether there is a GPU.

Left out: which of several GPUs; a rank takes that of its number, and a stage without ranks takes the first.
"""

import time
from typing import Literal

import torch
from torch import nn

from gift.config import Device
from gift.errors import GiftError

SLOWER = 1.5
"""Times as long, from which on it is said; a busy machine makes a tenth or two by itself."""


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


def slow_bf16(device: torch.device, precision: Literal["fp32", "bf16"], setting: str) -> str | None:
    """What to say where `setting` chose bf16 on a CPU whose fp32 is faster: one without AVX-512 or AMX has no bf16.

    Measured, in less than a second: what a CPU can do and what torch makes of it are two things.
    """
    if device.type != "cpu" or precision == "fp32":
        return None
    times = _product_seconds(torch.bfloat16) / _product_seconds(torch.float32)
    if times < SLOWER:
        return None
    return f"bf16 takes this CPU {times:.1f} times as long as fp32; set {setting} to fp32 if the memory allows it"


@torch.no_grad()
def _product_seconds(dtype: torch.dtype) -> float:
    """Of a product as large as those of a small model's layers; the best of three, after one that prepares."""
    layer, tokens, seconds = nn.Linear(576, 1536, bias=False, dtype=dtype), torch.ones(256, 576, dtype=dtype), []
    for _ in range(4):
        started = time.perf_counter()
        layer(tokens)
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])

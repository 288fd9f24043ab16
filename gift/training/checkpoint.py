"""What DeepSpeed writes of a training to go on from it: weights, optimizer, learning rate, cut into the ranks' shares.

With `engine` and `shards` the only module that knows DeepSpeed. No code in a checkpoint is run: a file that holds
anything but tensors, plain values and three of DeepSpeed's own classes is refused.
"""

import pickle
from pathlib import Path
from typing import Any

import deepspeed
import torch
from deepspeed.runtime.fp16.loss_scaler import LossScaler
from deepspeed.runtime.zero.config import ZeroStageEnum
from deepspeed.utils.tensor_fragment import fragment_address

from gift.errors import GiftError


def save_checkpoint(
    engine: deepspeed.DeepSpeedEngine, directory: Path, step: int, *, with_shared: bool = False
) -> None:
    """Write `<directory>/step-<step>/` and name it in `<directory>/latest`. All ranks.

    Each rank writes what it alone holds; what all ranks hold is written by the first one, and by this one too
    `with_shared`: where nodes have folders of their own, one rank of each does that.
    """
    own_share = engine.save_non_zero_checkpoint
    engine.save_non_zero_checkpoint = own_share or with_shared
    ZeroStageEnum.__reduce_ex__ = _reduce_to_value
    engine.save_checkpoint(str(directory), tag=f"step-{step}")
    engine.save_non_zero_checkpoint = own_share


def _reduce_to_value(member: ZeroStageEnum, _protocol: int) -> tuple[type, tuple[int]]:
    """Pickles an enum as later Pythons do; 3.11.0 to 3.11.3 write a call of `getattr`, which no safe reader allows."""
    return type(member), (member.value,)


def load_checkpoint(engine: deepspeed.DeepSpeedEngine, directory: Path, step: int) -> None:
    """Continue from what `save_checkpoint` wrote: weights, optimizer, learning rate. All ranks.

    The engine must be spread over ranks as the one that wrote the checkpoint. No code in the files is run.

    Raises:
        GiftError: there is no such checkpoint.
    """
    engine.checkpoint_engine.load = _load_data_only  # DeepSpeed's own unpickles whatever it finds
    loaded, _ = engine.load_checkpoint(str(directory), tag=f"step-{step}")
    if loaded is None:  # DeepSpeed warns, and goes on
        raise GiftError(f"DeepSpeed finds no checkpoint of step {step} in {directory}")


def check_share(directory: Path, step: int, rank: int, ranks: int) -> None:
    """See that one of `ranks` ranks has what `load_checkpoint` will read: its files of `step`, and whole.

    Raises:
        GiftError: a file is missing or damaged, or another number of ranks wrote the checkpoint.
    """
    own = f"*zero_pp_rank_{rank}_mp_rank_00_"
    folder = directory / f"step-{step}"
    optimizer = sorted(folder.glob(f"{own}optim_states.pt"))
    model = sorted([*folder.glob(f"{own}model_states.pt"), *folder.glob("mp_rank_00_model_states.pt")])
    if not optimizer or not model:
        raise GiftError(f"it has not all files of rank {rank}, one of {ranks}")
    try:
        shared, *_ = [_load_data_only(str(path)) for path in (*model, *optimizer)]
        saved_ranks = shared["dp_world_size"]
    except (RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError) as error:
        raise GiftError(f"a file of rank {rank} can't be read ({type(error).__name__})") from error
    if saved_ranks != ranks:
        raise GiftError(f"it was written by {saved_ranks} ranks, and training has {ranks}")


def _load_data_only(path: str, **_: object) -> dict[str, Any]:
    """Besides tensors and plain values three of DeepSpeed's own classes are let in, which only hold numbers."""
    with torch.serialization.safe_globals([LossScaler, ZeroStageEnum, fragment_address]):
        content: dict[str, Any] = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    return content

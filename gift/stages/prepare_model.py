"""Stage: model configuration → the base model as a Hugging Face folder in the store."""

from pathlib import Path

from gift.config import FolderModel, PackageModel, RunConfig, ScratchModel
from gift.data.problems import read_problems
from gift.execution.output import Output
from gift.execution.stage import Stage
from gift.fingerprint.files import sha256_of
from gift.models.base_model import write_base_model
from gift.models.base_model_files import model_files, package_file


def base_model_output(config: RunConfig, data: str) -> Output:
    """Of a model from scratch the demonstrations decide its tokenizer; a local model is what its files are. What a chat
    asks is tried on the model."""
    from_scratch = isinstance(config.model, ScratchModel)
    exclude = {"architecture", "path"}  # a check, and a place
    return Output(
        "base-models",
        __name__,
        {"model": config.model.model_dump(mode="json", exclude=exclude)}
        | ({"seed": config.seed} if from_scratch else {})
        | ({"prompt": config.prompt_format} if from_scratch or config.prompt_format.chat else {}),
        {"data": data} if from_scratch else {},
        facts={f"file {path.name}": sha256_of(path) for path in _local_files(config)},
    )


def prepare_model(stage: Stage, data: str) -> str:
    """Returns: URI of a folder with safetensors, config.json and tokenizer."""
    config = stage.config
    from_scratch = isinstance(config.model, ScratchModel)

    def make(folder: Path) -> dict[str, str]:
        with stage.fetched(*([data] if from_scratch else [])) as folders:
            demonstrations = read_problems(folders[0] / "sft.jsonl") if from_scratch else []
            write_base_model(config, demonstrations, folder)
        return {"source": config.model.source}

    return stage.make_once(base_model_output(config, data), make)


def _local_files(config: RunConfig) -> list[Path]:
    match config.model:
        case FolderModel() as model:
            return model_files(model)
        case PackageModel() as model:
            return [package_file(model)]
        case _:
            return []

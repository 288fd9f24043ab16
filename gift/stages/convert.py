"""Stage: trained weights → Hugging Face safetensors, ready for lm-eval, a registry and a server.

What is such a folder already, because nothing was trained, goes on as it is, in its own precision.
"""

from pathlib import Path

from gift.config import RunConfig
from gift.execution.output import Output
from gift.execution.stage import Stage
from gift.host.lean_imports import lean_imports
from gift.storage import read_manifest


def converted_output(config: RunConfig, checkpoint: str, model: str) -> Output:
    settings = {"conversion": config.conversion, "lora": config.lora}
    # Adapters are merged without it.
    return Output("models", __name__, settings, {"checkpoint": checkpoint, "model": model}, unused=("peft",))


def convert(stage: Stage, checkpoint: str, model: str) -> str:
    """Args: `model` gives config, tokenizer and generation config. Returns: URI of the converted model."""
    config, lora = stage.config.conversion, stage.config.lora
    manifest = stage.patiently(lambda: read_manifest(checkpoint))
    if manifest is not None and any(file.path == "config.json" for file in manifest.files):
        return stage.hand_through(checkpoint, "this is a model already, so nothing is converted")

    def make(folder: Path) -> dict[str, str]:
        with lean_imports():  # takes seconds, which a reused output need not wait
            from gift.conversion.hugging_face import TEMPLATE_FILES, convert_checkpoint

        wanted = TEMPLATE_FILES if lora is None else ("*",)  # adapters are merged into the model's weights
        with stage.fetched(checkpoint) as (weights,), stage.fetched(model, wanted=wanted) as (template,):
            convert_checkpoint(
                weights,
                template,
                folder / "model",
                precision=config.precision,
                max_shard_bytes=config.max_shard_mib * 2**20,
                lora=lora,
            )
        for path in sorted((folder / "model").iterdir()):
            path.rename(folder / path.name)
        (folder / "model").rmdir()
        return {"precision": config.precision}

    return stage.make_once(converted_output(stage.config, checkpoint, model), make)

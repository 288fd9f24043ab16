"""Turns the weights that a training left into a Hugging Face folder: sharded safetensors, config, tokenizer, and so on.

Every parameter goes from file to file in pieces of a few MiB, so that memory does not grow with the model, its shards
or its largest tensor. The folder appears under its name only when it is whole.

Left out: architectures with persistent buffers (none of the current decoder families has any) and model cards.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from gift.config import LoraConfig
from gift.conversion.merging import merged_weights
from gift.errors import GiftError
from gift.weights.stored_weights import stored_tensors
from gift.weights.trained_weights import TrainedParameter, read_trained_weights
from gift.weights.weight_stream import StreamedTensor, write_weights

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
COPIED_FILES = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "chat_template*",
    "generation_config.json",
)
TEMPLATE_FILES = ("config.json", *COPIED_FILES)
"""Patterns of what is read of a template."""


def convert_checkpoint(
    checkpoint: Path,
    template: Path,
    output: Path,
    *,
    precision: Literal["fp32", "bf16"],
    max_shard_bytes: int,
    lora: LoraConfig | None = None,
) -> None:
    """Write the weights in `checkpoint` as the new folder `output`; `template` is the folder they were trained from, of
    which only `TEMPLATE_FILES` are needed, and with `lora` the weights.

    With `lora` the adapters in `checkpoint` are merged into those. A shard holds at most `max_shard_bytes` of weights,
    or one tensor that is larger. Tied weights are written once.

    Raises:
        GiftError: the weights are not whole, they do not fit the template's configuration, the template has no
            tokenizer, `output` exists already, or the disk is too small.
    """
    if output.exists():
        raise GiftError(f"{output} exists already; remove it or convert into another folder")
    if not (template / "tokenizer_config.json").is_file():
        raise GiftError(f"the template {template} has no tokenizer_config.json; it must be a Hugging Face model folder")
    config, weights = _empty_weights(template, DTYPES[precision])
    streams = _streams(checkpoint, template, weights, lora)
    _check_disk(output, sum(weight.nbytes for weight in weights.values()))
    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write_shards(streams, weights, partial, max_shard_bytes)
        config.save_pretrained(partial)
        for pattern in COPIED_FILES:
            for path in template.glob(pattern):
                shutil.copy(path, partial)
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _empty_weights(template: Path, dtype: torch.dtype) -> tuple[PretrainedConfig, dict[str, Tensor]]:
    """The output's configuration, and its weights by name without their data; tied ones only under the first name."""
    if not (template / "config.json").is_file():
        raise GiftError(f"the template {template} has no config.json; it must be a Hugging Face model folder")
    config = AutoConfig.from_pretrained(template, trust_remote_code=False)
    config.dtype = dtype
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    config.architectures = [type(model).__name__]
    return config, {name: torch.empty_like(p, dtype=dtype, device="meta") for name, p in model.named_parameters()}


def _streams(
    checkpoint: Path, template: Path, weights: Mapping[str, Tensor], lora: LoraConfig | None
) -> dict[str, StreamedTensor]:
    """The output's weights by name, as they will be written."""
    dtype, trained = next(iter(weights.values())).dtype, read_trained_weights(checkpoint)
    if lora is None:
        streams = {name: _converted(parameter, dtype) for name, parameter in trained.items()}
        _check_fit(f"checkpoint {checkpoint}", template, streams, weights)
        return streams
    base = {name: stored for name, stored in stored_tensors(template).items() if name in weights}
    streams = merged_weights(checkpoint, trained, base, lora, dtype)
    _check_fit(f"the weights in {template}", template, streams, weights)
    return streams


def _check_fit(
    source: str, template: Path, streams: Mapping[str, StreamedTensor], weights: Mapping[str, Tensor]
) -> None:
    faults = [f"{name} is missing" for name in weights.keys() - streams.keys()]
    faults += [f"{name} is unknown" for name in streams.keys() - weights.keys()]
    faults += [
        f"{name} is {tuple(streams[name].shape)} instead of {tuple(weights[name].shape)}"
        for name in weights.keys() & streams.keys()
        if streams[name].shape != weights[name].shape
    ]
    if faults:
        shown = "; ".join(sorted(faults)[:3]) + (f"; and {len(faults) - 3} more" if len(faults) > 3 else "")
        raise GiftError(f"{source} does not fit {template / 'config.json'}: {shown}")


def _check_disk(output: Path, needed: int) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(output.parent).free
    if free < needed:
        raise GiftError(f"converting into {output} needs {needed:,} bytes, but only {free:,} are free there")


def _write_shards(
    streams: Mapping[str, StreamedTensor], weights: dict[str, Tensor], folder: Path, max_shard_bytes: int
) -> None:
    split = split_torch_state_dict_into_shards(weights, max_shard_size=max_shard_bytes)
    for file_name, names in split.filename_to_tensors.items():
        shard = {name: streams[name] for name in names}
        write_weights(folder / file_name, weights[names[0]].dtype, shard, metadata={"format": "pt"})
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        text = json.dumps(index, indent=2, sort_keys=True) + "\n"
        (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")


def _converted(parameter: TrainedParameter, dtype: torch.dtype) -> StreamedTensor:
    return StreamedTensor(parameter.shape, lambda: (piece.to(dtype) for piece in parameter.pieces()))

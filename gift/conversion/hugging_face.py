"""Turns the weights that a training left into a Hugging Face folder: sharded safetensors, config, tokenizer, and so on.

Every tensor goes from file to file in pieces of a few MiB, so that memory does not grow with the model, its shards or
its largest tensor. Families whose published checkpoints have other names or cuts than transformers has in memory
(experts, Pythia's head) are written as published, for which the whole model is in memory once. The folder appears under
its name only when it is whole.

Left out: buffers of whole numbers, which no model that is checked has, and model cards.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.core_model_loading import build_glob_alternation, revert_weight_conversion

from gift.config import LoraConfig
from gift.conversion.merging import merged_weights
from gift.errors import GiftError
from gift.models.reading import read_language_model, stored_state
from gift.weights.stored_weights import StoredTensor, stored_tensors
from gift.weights.trained_weights import TrainedParameter, read_trained_weights
from gift.weights.weight_stream import PIECE, StreamedTensor, write_weights

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
    model = _empty_model(template, DTYPES[precision])
    weights = stored_state(model)
    partial, renamed = (output.with_name(f".{output.name}.{kind}") for kind in ("partial", "renamed"))
    for folder in (partial, renamed):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        streams = _streams(checkpoint, template, weights, lora, renamed)
        _check_disk(output, sum(weight.nbytes for weight in weights.values()))
        partial.mkdir(parents=True)
        _write_shards(*_as_published(model, weights, streams), partial, max_shard_bytes)
        model.config.save_pretrained(partial)
        for pattern in COPIED_FILES:
            for path in template.glob(pattern):
                shutil.copy(path, partial)
        partial.rename(output)
    finally:
        for folder in (partial, renamed):
            shutil.rmtree(folder, ignore_errors=True)


def _empty_model(template: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The output without its data, whose configuration says what it is."""
    if not (template / "config.json").is_file():
        raise GiftError(f"the template {template} has no config.json; it must be a Hugging Face model folder")
    config = AutoConfig.from_pretrained(template, trust_remote_code=False)
    config.dtype = dtype
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    model.config.architectures = [type(model).__name__]
    return _in_format(model, dtype)


def _in_format(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """As `from_pretrained` would have it: a family may keep some tensors in float32, e.g. what selects experts."""
    model.to(dtype)
    kept = model._get_dtype_plan(dtype)
    if kept:
        names, *_ = build_glob_alternation(list(kept))
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            if names.search(name):
                tensor.data = tensor.data.float()
    return model


def _streams(
    checkpoint: Path, template: Path, weights: Mapping[str, Tensor], lora: LoraConfig | None, renamed: Path
) -> dict[str, StreamedTensor]:
    """The output's weights by name, as they will be written; `renamed` is a folder for the template's, if need be."""
    trained = read_trained_weights(checkpoint)
    if lora is None:
        _check_fit(f"checkpoint {checkpoint}", template, trained, weights)
        return {name: _converted(parameter, weights[name].dtype) for name, parameter in trained.items()}
    base = _base(template, weights, renamed)
    _check_fit(f"the weights in {template}", template, base, weights)
    return merged_weights(checkpoint, trained, base, lora, {name: weight.dtype for name, weight in weights.items()})


def _base(template: Path, weights: Mapping[str, Tensor], renamed: Path) -> dict[str, StoredTensor]:
    """The template's tensors by the names of `weights`, whatever names its files have."""
    stored = stored_tensors(template)
    if not weights.keys() <= stored.keys():
        model = read_language_model(template, dtype="auto")
        model.save_pretrained(renamed, save_original_format=False)
        stored = stored_tensors(renamed)
    return {name: tensor for name, tensor in stored.items() if name in weights}


def _as_published(
    model: PreTrainedModel, weights: Mapping[str, Tensor], streams: Mapping[str, StreamedTensor]
) -> tuple[Mapping[str, StreamedTensor], dict[str, Tensor]]:
    """The weights, as streams and without their data, by the names of the family's published checkpoints.

    transformers keeps some in another form, which neither its own earlier versions nor vLLM read.
    """
    published = revert_weight_conversion(model, dict(weights))
    if published.keys() == weights.keys() and all(published[name] is weights[name] for name in weights):
        return streams, dict(weights)
    whole = {name: torch.cat(list(stream.pieces())).view(stream.shape) for name, stream in streams.items()}
    published = revert_weight_conversion(model, whole)
    return {name: _held(tensor) for name, tensor in published.items()}, {
        name: torch.empty_like(tensor, device="meta") for name, tensor in published.items()
    }


def _check_fit(
    source: str, template: Path, found: Mapping[str, TrainedParameter | StoredTensor], weights: Mapping[str, Tensor]
) -> None:
    faults = [f"{name} is missing" for name in weights.keys() - found.keys()]
    faults += [f"{name} is unknown" for name in found.keys() - weights.keys()]
    faults += [
        f"{name} is {tuple(found[name].shape)} instead of {tuple(weights[name].shape)}"
        for name in weights.keys() & found.keys()
        if tuple(found[name].shape) != tuple(weights[name].shape)
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
        write_weights(folder / file_name, {name: streams[name] for name in names}, metadata={"format": "pt"})
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        text = json.dumps(index, indent=2, sort_keys=True) + "\n"
        (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")


def _converted(parameter: TrainedParameter, dtype: torch.dtype) -> StreamedTensor:
    return StreamedTensor(parameter.shape, dtype, lambda: (piece.to(dtype) for piece in parameter.pieces()))


def _held(tensor: Tensor) -> StreamedTensor:
    return StreamedTensor(tuple(tensor.shape), tensor.dtype, lambda: torch.split(tensor.flatten(), PIECE))

"""Turns a ZeRO checkpoint into a Hugging Face folder: sharded safetensors, config, tokenizer, generation config.

Shards are assembled and written one by one, so memory stays near one shard whatever the model's size. The folder
appears under its name only when it is whole.

Left out: architectures with persistent buffers (none of the current decoder families has any) and model cards.
"""

import json
import shutil
from pathlib import Path
from typing import Literal

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from gift.conversion.zero_checkpoint import StoredParameter, read_parameters
from gift.errors import GiftError

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


def convert_checkpoint(
    checkpoint: Path, template: Path, output: Path, *, precision: Literal["fp32", "bf16"], max_shard_bytes: int
) -> None:
    """Write the newest step of `checkpoint` as the new folder `output`; `template` is the folder it was trained from.

    A shard holds at most `max_shard_bytes` of weights, or one tensor that is larger. Tied weights are written once.

    Raises:
        GiftError: there is no whole checkpoint, it does not fit the template's configuration, the template has no
            tokenizer, `output` exists already, or the disk is too small.
    """
    if output.exists():
        raise GiftError(f"{output} exists already; remove it or convert into another folder")
    if not (template / "tokenizer_config.json").is_file():
        raise GiftError(f"the template {template} has no tokenizer_config.json; it must be a Hugging Face model folder")
    config, weights = _empty_weights(template, DTYPES[precision])
    _check_fit(checkpoint, template, read_parameters(checkpoint), weights)
    _check_disk(output, sum(weight.nbytes for weight in weights.values()))
    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _write_shards(checkpoint, weights, partial, max_shard_bytes)
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


def _check_fit(
    checkpoint: Path, template: Path, stored: dict[str, StoredParameter], weights: dict[str, Tensor]
) -> None:
    faults = [f"{name} is missing" for name in weights.keys() - stored.keys()]
    faults += [f"{name} is unknown" for name in stored.keys() - weights.keys()]
    faults += [
        f"{name} is {tuple(stored[name].shape)} instead of {tuple(weights[name].shape)}"
        for name in weights.keys() & stored.keys()
        if stored[name].shape != weights[name].shape
    ]
    if faults:
        shown = "; ".join(sorted(faults)[:3]) + (f"; and {len(faults) - 3} more" if len(faults) > 3 else "")
        raise GiftError(f"checkpoint {checkpoint} does not fit {template / 'config.json'}: {shown}")


def _check_disk(output: Path, needed: int) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(output.parent).free
    if free < needed:
        raise GiftError(f"converting into {output} needs {needed:,} bytes, but only {free:,} are free there")


def _write_shards(checkpoint: Path, weights: dict[str, Tensor], folder: Path, max_shard_bytes: int) -> None:
    split = split_torch_state_dict_into_shards(weights, max_shard_size=max_shard_bytes)
    for file_name, names in split.filename_to_tensors.items():
        stored = read_parameters(checkpoint)  # anew for each shard, so that the pages of the last one are let go
        shard = {name: stored[name].assemble().to(weights[name].dtype).contiguous() for name in names}
        save_file(shard, folder / file_name, metadata={"format": "pt"})
        del stored, shard
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        text = json.dumps(index, indent=2, sort_keys=True) + "\n"
        (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")

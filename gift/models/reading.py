"""Weights from a folder into a model of transformers: all that it needs and no others, or one line that says why not.

transformers fills what is missing with random numbers, differently each time, and leaves out what it has no place for.
Here either is refused. Code of a model's repository is never run, and no pickle is read.
"""

import logging
import re
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.modeling_utils import str_to_torch_dtype

from gift.errors import GiftError
from gift.models.folder_check import check_head
from gift.weights.stored_weights import read_json_object, stored_tensors

SHOWN = 3
"""Names of weights that a message has room for."""
OLD_BUFFERS = (".attn.masked_bias",)
"""Constants that early versions stored with GPT-2's weights."""
MARKED_AS_ENCODERS = ("gpt_neox", "gpt_neox_japanese")
"""Families of decoders whose config has `is_decoder: false`, which they don't read."""


def read_language_model(folder: Path, **options: Any) -> PreTrainedModel:
    """A causal language model; `options` are those of `from_pretrained`.

    Raises:
        GiftError: the model is of another kind, quantised, or does not have exactly the weights of its config.json.
    """
    # In place of the model's own, which has no say here and may not pass transformers' checks.
    generation = GenerationConfig()
    return read_weights(
        AutoModelForCausalLM, folder, config=read_config(folder), generation_config=generation, **options
    )


def count_language_model(folder: Path, dtype: torch.dtype | Literal["auto"] = "auto") -> PreTrainedModel:
    """The model of `read_language_model` on the device `meta`: transformers is told names and shapes only.

    Args:
        dtype: number format that it would be read in; `auto` is that of the files.

    Raises: as `read_language_model`.
    """
    config = read_config(folder)
    with refused_in_one_line(f"the model in {folder}"):
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        weights = {
            name: torch.empty(tensor.shape, dtype=str_to_torch_dtype[tensor.dtype], device="meta")
            for name, tensor in stored_tensors(folder).items()
        }
    # Of a model that also sees, its language model's own configuration.
    options = {"config": empty.config, "state_dict": weights, "dtype": dtype, "device_map": "meta"}
    model = _whole_model(type(empty), None, folder, **options)
    model.tie_weights()  # without their values transformers leaves both of two equal heads
    return model


def stored_state(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """What a folder of the model holds, by name: parameters and stored buffers, tied ones under their first name."""
    first: dict[int, str] = {}
    state = model.state_dict(keep_vars=True)
    for name, tensor in state.items():
        first.setdefault(id(tensor), name)
    return {name: state[name] for name in first.values()}


def read_weights(kind: Any, folder: Path, **options: Any) -> PreTrainedModel:
    """A model of a `kind` of transformers (`AutoModelFor…`); `options` are those of its `from_pretrained`.

    Raises:
        GiftError: it can't be loaded, weights are missing, have another shape or are not finite, or some have no place
            in it.
    """
    return _whole_model(kind, folder, folder / options.get("gguf_file", ""), **options)


@contextmanager
def refused_in_one_line(what: str) -> Iterator[None]:
    """Inside are only libraries that read `what` (in a folder): whatever they raise of it becomes a `GiftError`."""
    try:
        yield
    except GiftError:
        raise
    except Exception as error:
        raise _refusal(what, error) from error


def _refusal(what: str, error: Exception) -> GiftError:
    if "trust_remote_code" in str(error):
        return _needs_code(what)
    reason = textwrap.shorten(str(error), 300, placeholder=" …")
    return GiftError(f"{what} can't be loaded ({type(error).__name__}): {reason}")


def _needs_code(what: str) -> GiftError:
    return GiftError(
        f"{what} needs code of its repository, which is never run; use one of a family that transformers knows"
    )


def _whole_model(kind: Any, source: Path | None, place: Path, **options: Any) -> PreTrainedModel:
    """A model with all weights that it needs and no others; `place` is where people find them."""
    with refused_in_one_line(f"the model in {place}"), _without_report(place):
        model: PreTrainedModel
        model, loading = kind.from_pretrained(
            source,
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are named below
            output_loading_info=True,
            **options,
        )
    missing = sorted(loading["missing_keys"])
    unexpected = sorted(name for name in loading["unexpected_keys"] if not name.endswith(OLD_BUFFERS))
    shapes = [f"{name} is {tuple(a)} instead of {tuple(b)}" for name, a, b in sorted(loading["mismatched_keys"])]
    faults = {"missing": missing, "without a place in it": unexpected, "of another shape": shapes}
    if any(faults.values()):
        named = "; ".join(f"{fault}: {_first(names)}" for fault, names in faults.items() if names)
        raise GiftError(
            f"the model in {place} does not have the weights that its configuration asks for; {named}; "
            f"{_advice(missing, unexpected)}"
        )
    _check_finite(place, model)
    if place.is_dir():  # and no GGUF file
        _check_no_name_twice(place, model)
    return model


def read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """What `tokenizer.json` says, if there is one. transformers' own classes put their family's rules in its place, and
    lose all spaces of a byte-level tokenizer that names the class of a family with other ones (Llama's).

    Raises:
        GiftError: the tokenizer is broken, or needs code of its repository.
    """
    whole, settings = (folder / "tokenizer.json").exists(), folder / "tokenizer_config.json"
    if settings.exists() and _names_code(read_json_object(settings)):
        raise _needs_code(f"the tokenizer in {folder}")
    with refused_in_one_line(f"the tokenizer in {folder}" + ("" if whole else ", which has no tokenizer.json,")):
        kind = PreTrainedTokenizerFast if whole else AutoTokenizer
        tokenizer: PreTrainedTokenizerBase = kind.from_pretrained(folder, trust_remote_code=False)
    return tokenizer


def _names_code(settings: Mapping[str, Any]) -> bool:
    match settings:
        case {"auto_map": {"AutoTokenizer": _}}:
            return True
    return False


def read_config(folder: Path) -> PretrainedConfig:
    """The configuration of a causal language model.

    Raises:
        GiftError: it is broken, of another kind or of quantised weights, or the model has two different heads.
    """
    with refused_in_one_line(f"the model in {folder}"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    _check_kind(folder, config)
    check_head(folder, tied=bool(getattr(config, "tie_word_embeddings", False)))
    return config


def _check_kind(folder: Path, config: PretrainedConfig) -> None:
    encodes = getattr(config, "is_decoder", None) is False and config.model_type not in MARKED_AS_ENCODERS
    if encodes or getattr(config, "is_encoder_decoder", False):
        raise GiftError(
            f"the model in {folder} is an encoder ({config.model_type}) and no causal language model; use a decoder"
        )
    if getattr(config, "quantization_config", None) is not None:
        raise GiftError(
            f"the model in {folder} has quantised weights, which can't be trained; use the model that they were made of"
        )


@contextmanager
def _without_report(place: Path) -> Iterator[None]:
    """Inside, transformers doesn't log its table of what it makes up; only that tells which conversions failed."""
    failed: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        failed.extend(re.findall(r"^(\S+) +\| \S*CONVERSION", text, re.MULTILINE))
        return "LOAD REPORT" not in text

    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(keep)
    try:
        yield
    except RuntimeError as error:
        if not failed:
            raise
        raise GiftError(
            f"the model in {place} has not all the parts of {_first(failed)}, or they don't go together; "
            "save the model whole, with the config.json that belongs to it"
        ) from error
    finally:
        logger.removeFilter(keep)


def _check_finite(place: Path, model: PreTrainedModel) -> None:
    weights = ((name, weight) for name, weight in model.named_parameters() if not weight.is_meta)
    damaged = [name for name, weight in weights if not torch.isfinite(weight).all()]
    if damaged:
        raise GiftError(
            f"the model in {place} has weights that are no finite numbers: {_first(damaged)}; it was damaged, or its "
            "training diverged; take an earlier checkpoint"
        )


def _check_no_name_twice(folder: Path, model: PreTrainedModel) -> None:
    """With and without the prefix of the family a name means the same weight, and transformers takes either."""
    stored, needed = stored_tensors(folder).keys(), model.state_dict().keys()
    for name in stored:
        both = {name, f"{model.base_model_prefix}.{name}"}
        if both <= stored and not both <= needed:
            raise GiftError(f"the model in {folder} has {' and '.join(sorted(both))}, which are one weight; remove one")


def _first(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _advice(missing: list[str], unexpected: list[str]) -> str:
    """What to do: a name that only lacks its beginning was saved by a wrapper (LoRA, torch.compile, DDP)."""
    stored = unexpected[0] if unexpected else ""
    name = next((name for name in missing if stored.endswith(f".{name}")), None)
    if name is None:
        return "save the model whole, with the config.json that belongs to it"
    return f"the names begin with {stored.removesuffix(name)!r}, which a wrapper left; save the model that it wraps"

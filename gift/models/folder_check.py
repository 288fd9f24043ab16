"""Whether a model folder is whole and agrees with itself, as far as its JSON files and the headers of its weights tell.

Imports neither torch nor transformers, so that the command line can ask in milliseconds. Left out: what only
transformers knows, above all which tensors an architecture needs (`gift.models.deep_check`).
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gift.errors import GiftError
from gift.host.inside_folder import check_inside
from gift.hub.download import MODEL_FILES
from gift.weights.stored_weights import StoredTensor, read_json_object, same_values, stored_tensors

EMBEDDINGS = (
    *("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight", "tok_embeddings.weight"),
    *("embeddings.weight", "shared.weight"),
)
"""How families name the embeddings of their input, below some prefix."""
HEADS = ("lm_head.weight", "embed_out.weight")
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt")
"""Each is enough for a tokenizer, with its tokenizer_config.json."""
OF_OTHER_SENSES = re.compile("image|audio|video|vision")
"""In the text of a token that stands for no text; the tokenizer of a text model may keep such (Gemma 3's does)."""
LFS_POINTER = b"version https://git-lfs"
USUAL_LAYERS = 1000
"""No model has as many, and a number in its config.json (a window's) may be above that of its tensors."""
SPECIAL_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")


def check_model_folder(folder: Path) -> None:
    """Raise the first fault found in a folder with a model and its tokenizer.

    Raises:
        GiftError: a file is missing, damaged or a pointer of git-lfs, something links out of the folder or is no file,
            the folder holds an adapter or pickles only, a token has no embedding, or the model has two different heads.
    """
    if not (folder / "config.json").is_file():
        raise GiftError(f"model folder {folder} has no config.json; correct the path, or save the model there")
    for entry in sorted(folder.iterdir()):
        check_inside(folder, entry)
    for pattern in MODEL_FILES:
        for file in sorted(folder.glob(pattern)):
            _check_is_no_pointer(file)
    if (folder / "adapter_config.json").exists():
        raise GiftError(f"model folder {folder} holds an adapter; merge it into its model once, and save that alone")
    config = read_json_object(folder / "config.json")
    if not isinstance(config.get("model_type"), str):
        raise GiftError(f"{folder / 'config.json'} has no model_type; it must be that of a Hugging Face model")
    tensors = stored_tensors(folder)
    _check_layers(folder, config, len(tensors))
    _check_tokens(folder, config, tensors)
    check_head(folder, tied=config.get("tie_word_embeddings") is True)


def check_chat_template(folder: Path) -> None:
    """Raises: GiftError: the tokenizer has no chat template."""
    apart = any((folder / name).is_file() for name in ("chat_template.jinja", "chat_template.json"))
    if not apart and not read_json_object(folder / "tokenizer_config.json").get("chat_template"):
        raise GiftError(
            f"prompt is chat, but the model in {folder} has no chat template; set prompt to a text with {{question}}, "
            "or use an instruct model"
        )


def check_head(folder: Path, *, tied: bool) -> None:
    """Compare a stored head with the embeddings that it is `tied` to.

    Raises:
        GiftError: they differ.
    """
    tensors = stored_tensors(folder)
    embeddings = embeddings_in(tensors)
    head = next((tensor for name, tensor in tensors.items() if name.endswith(HEADS)), None)
    if tied and embeddings and head and not same_values(embeddings, head):
        raise GiftError(
            f"the model in {folder} has tie_word_embeddings: true (by its config.json or its family) and yet a head "
            "that differs from its embeddings: training would use one and evaluation the other; set it to false in "
            "config.json if the head is meant, or remove the head"
        )


def embeddings_in(tensors: Mapping[str, StoredTensor]) -> StoredTensor | None:
    """The embeddings of the input, or None where they have an unusual name."""
    names = [name for name in tensors if any(f".{name}".endswith(f".{ending}") for ending in EMBEDDINGS)]
    return tensors[min(names, key=len)] if names else None  # deeper ones are those of parts


def check_token(folder: Path, token: int, what: str, limits: Mapping[str, int | None]) -> None:
    """Compare a token's id with numbers of rows.

    Args:
        what: the token's name, for people.
        limits: what has the rows → how many; None where that is not known.

    Raises:
        GiftError: there is no row for it.
    """
    for limit, rows in limits.items():
        if rows is not None and token >= rows:
            raise GiftError(
                f"model folder {folder}: {what} has the id {token}, but {limit} {rows}; remove the token, or "
                "resize the embeddings once with resize_token_embeddings"
            )


def _check_is_no_pointer(file: Path) -> None:
    try:
        with file.open("rb") as stream:
            is_pointer = stream.read(len(LFS_POINTER)) == LFS_POINTER
    except OSError as error:
        raise GiftError(f"{file} can't be read: {error.strerror}") from error
    if is_pointer:
        raise GiftError(f"{file} is a pointer of git-lfs and not the file itself; run `git lfs pull` there")


def _check_layers(folder: Path, config: Mapping[str, Any], tensors: int) -> None:
    """Each layer has a tensor; transformers would make as many as config.json says, and run out of memory."""
    text = config.get("text_config")
    for key, value in (*config.items(), *(text.items() if isinstance(text, dict) else ())):
        if "layer" in key and isinstance(value, int) and value > max(tensors, USUAL_LAYERS):
            raise GiftError(
                f"{folder / 'config.json'} says {key}: {value}, and the weights are {tensors} tensors; correct it"
            )


def _check_tokens(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, StoredTensor]) -> None:
    """A tokenizer is there, and no token is beyond the embeddings."""
    if not (folder / "tokenizer_config.json").is_file():
        raise GiftError(f"model folder {folder} has no tokenizer_config.json; save the model's tokenizer there")
    read_json_object(folder / "tokenizer_config.json")
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise GiftError(
            f"model folder {folder} has no tokenizer: none of {', '.join(VOCABULARIES)}; load it once with "
            "AutoTokenizer, where you trust it, and save it there"
        )
    embeddings = embeddings_in(tensors)
    limits = {
        "the embeddings have rows for": embeddings.shape[0] if embeddings and embeddings.shape else None,
        "config.json's vocab_size is": _vocabulary_size(config),
    }
    for name in ("config.json", "generation_config.json"):
        if (folder / name).exists():
            for key, token in _special_tokens(read_json_object(folder / name)):
                check_token(folder, token, f"{key} of {name}", limits)
    if (folder / "tokenizer.json").exists():
        token, text = max(_vocabulary(folder / "tokenizer.json"), default=(0, ""))
        check_token(folder, token, f"the token {text!r} of tokenizer.json", limits)


def _vocabulary_size(config: Mapping[str, Any]) -> int | None:
    """The `vocab_size` of a model, or of the text part of one that also sees or hears."""
    text = config.get("text_config")
    found = config.get("vocab_size", text.get("vocab_size") if isinstance(text, dict) else None)
    return found if isinstance(found, int) else None


def _special_tokens(values: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for key in SPECIAL_TOKENS:
        found = values.get(key)
        yield from ((key, token) for token in (found if isinstance(found, list) else [found]) if isinstance(token, int))


def _vocabulary(file: Path) -> list[tuple[int, str]]:
    """The ids and texts of all tokens in a tokenizer.json that a text may come to."""
    values = read_json_object(file)
    match values.get("model"):
        case {"vocab": dict(vocabulary)}:
            tokens = [(token, text) for text, token in vocabulary.items()]
        case {"vocab": [*rows]}:  # a unigram model counts them
            tokens = [(token, str(row[0]) if isinstance(row, list) and row else "") for token, row in enumerate(rows)]
        case _:
            raise GiftError(f"{file} has no vocabulary; save the tokenizer again")
    added = values.get("added_tokens") or []
    try:
        tokens += [(token["id"], token["content"]) for token in added]
        return sorted((int(token), str(text)) for token, text in tokens if not OF_OTHER_SENSES.search(str(text)))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise GiftError(f"{file} has a token without an id; save the tokenizer again") from error

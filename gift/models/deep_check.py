"""Whether a model folder loads: its weights, counted by transformers without being read, and its tokenizer.

On the device `meta` transformers applies its own rules for names, shapes and ties to the headers of the files, and no
weight is read, so that a model of 32B takes seconds and no memory. Left out: what the weights are worth.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from gift.config import PromptFormat
from gift.data.prompts import asked_text
from gift.errors import GiftError
from gift.models.ends import load_tokenizer_and_ends
from gift.models.folder_check import OF_OTHER_SENSES, check_model_folder, check_token
from gift.models.reading import count_language_model, read_config, stored_state
from gift.weights.stored_weights import stored_tensors

_PLAIN = PromptFormat(template="{question}")


@dataclass(frozen=True)
class ModelFacts:
    """What a model is, for people."""

    architecture: str
    parameters: int
    layers: int
    tokens: int
    embedding_rows: int
    tied: bool
    ends: tuple[str, ...]
    """The tokens that end a response."""
    chat_template: bool
    precisions: tuple[str, ...]
    """Number formats of the stored weights, the commonest first."""


def check_model_loads(folder: Path) -> ModelFacts:
    """Check a folder with a causal language model and its tokenizer, first by itself and then with transformers.

    Raises:
        GiftError: what `check_model_folder` and `count_language_model` refuse; the model stores whole numbers; the
            tokenizer can't be loaded, has no end-of-sequence token, or has a token without an embedding; or an end of
            responses is no token.
    """
    check_model_folder(folder)
    model = count_language_model(folder)
    _check_numbers(folder, model)
    tokenizer, ends = load_tokenizer_and_ends(folder, _PLAIN)
    rows = model.get_input_embeddings().weight.shape[0]
    _check_vocabulary(folder, tokenizer, rows)
    config = model.config
    return ModelFacts(
        architecture=type(model).__name__,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        layers=config.get_text_config().num_hidden_layers,
        tokens=len(tokenizer),
        embedding_rows=rows,
        tied=bool(getattr(config, "tie_word_embeddings", False)),
        ends=tuple(tokenizer.convert_ids_to_tokens(ends)),
        chat_template=bool(tokenizer.chat_template),
        precisions=tuple(
            dtype for dtype, _ in Counter(tensor.dtype for tensor in stored_tensors(folder).values()).most_common()
        ),
    )


def check_model_answers(folder: Path, prompt: PromptFormat) -> None:
    """Raises: GiftError: the model can't be asked with `prompt`: it is a chat, and there is no template that works."""
    tokenizer, _ = load_tokenizer_and_ends(folder, prompt)
    asked_text(tokenizer, "2 + 2?", prompt)


def check_model_positions(folder: Path, context_length: int) -> None:
    """Raises: GiftError: the model has no positions for so many tokens, or its rotary embedding, in transformers, comes
    to depend on the longest sequence of a batch, so that a response's score would depend on its neighbours."""
    config = read_config(folder).get_text_config()
    ropes = getattr(config, "rope_parameters", None) or {}
    positions = getattr(config, "max_position_embeddings", None)
    if not ropes and positions and context_length > positions:
        raise GiftError(
            f"the model in {folder} has {positions:,} positions and no rotary embedding that goes on beyond them; set "
            f"model.context_length ({context_length:,}) to at most {positions:,}"
        )
    for rope in [ropes, *(part for part in ropes.values() if isinstance(part, dict))]:  # by kinds of layers, or one
        match rope.get("rope_type"):
            case "longrope":
                first = rope["original_max_position_embeddings"]
            case "dynamic":
                first = config.max_position_embeddings
            case _:
                continue
        if context_length > first:
            raise GiftError(
                f"the model in {folder} has a rotary embedding of the kind {rope['rope_type']}: beyond {first:,} "
                f"positions all sequences of a batch are read as the longest one asks; set model.context_length "
                f"({context_length:,}) to at most {first:,}"
            )


def _check_numbers(folder: Path, model: PreTrainedModel) -> None:
    """What a training leaves is float32."""
    for name, tensor in stored_state(model).items():
        if not tensor.is_floating_point():
            raise GiftError(
                f"the model in {folder} stores {name}, of {tensor.dtype}, and only floating-point numbers can be "
                "converted; use a model of another family"
            )


def _check_vocabulary(folder: Path, tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    tokens = [(token, text) for text, token in tokenizer.get_vocab().items() if not OF_OTHER_SENSES.search(text)]
    token, text = max(tokens)
    check_token(folder, token, f"the token {text!r} of the tokenizer", {"the embeddings have rows for": rows})

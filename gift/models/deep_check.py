"""Whether a model folder loads: its weights, counted by transformers without being read, and its tokenizer.

On the device `meta` transformers applies its own rules for names, shapes and ties to the headers of the files, and no
weight is read, so that a model of 32B takes seconds and no memory. Left out: what the weights are worth.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from gift.models.folder_check import check_model_folder, check_token
from gift.models.loading import load_tokenizer
from gift.models.reading import count_language_model, refused_in_one_line
from gift.models.stored_weights import stored_tensors


@dataclass(frozen=True)
class ModelFacts:
    """What a model is, for people."""

    architecture: str
    parameters: int
    layers: int
    tokens: int
    embedding_rows: int
    tied: bool
    chat_template: bool
    precisions: tuple[str, ...]
    """Number formats of the stored weights, the commonest first."""


def check_model_loads(folder: Path) -> ModelFacts:
    """Check a folder with a causal language model and its tokenizer, first by itself and then with transformers.

    Raises:
        GiftError: what `check_model_folder` and `count_language_model` refuse; or the tokenizer can't be loaded, has no
            end-of-sequence token, or has a token without an embedding.
    """
    check_model_folder(folder)
    model = count_language_model(folder)
    slow = "" if (folder / "tokenizer.json").exists() else ", which has no tokenizer.json,"
    with refused_in_one_line(f"the tokenizer in {folder}{slow}"):
        tokenizer = load_tokenizer(folder)
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
        chat_template=bool(tokenizer.chat_template),
        precisions=tuple(
            dtype for dtype, _ in Counter(tensor.dtype for tensor in stored_tensors(folder).values()).most_common()
        ),
    )


def _check_vocabulary(folder: Path, tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    text, token = max(tokenizer.get_vocab().items(), key=lambda item: item[1])
    check_token(folder, token, f"the token {text!r} of the tokenizer", {"the embeddings have rows for": rows})

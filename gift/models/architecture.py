"""What a model is made of, as far as its memory depends on it: decoders of the Llama family.

Imports no torch. Left out: mixtures of experts, and families whose layers are built otherwise.
"""

from pathlib import Path

from pydantic import ValidationError

from gift.config import FolderModel, HubModel, ModelConfig, ModelShape, PackageModel, ScratchModel
from gift.errors import GiftError
from gift.weights.stored_weights import read_json_object

FAMILIES = ("llama", "mistral", "qwen2")
"""`model_type` of the configs that `read_shape` understands."""


def model_shape(config: ModelConfig) -> ModelShape | None:
    """The architecture of a configured model, or None where it can't be known before the model is there.

    Raises:
        GiftError: the config.json of a model folder is missing or no JSON.
    """
    match config:
        case ScratchModel():
            return ModelShape(
                layers=config.layers,
                hidden_size=config.hidden_size,
                intermediate_size=config.intermediate_size,
                attention_heads=config.attention_heads,
                key_value_heads=config.attention_heads,
                vocabulary_size=config.vocabulary_size,
                tied_embeddings=True,
            )
        case FolderModel():
            return read_shape(config.path)
        case HubModel() | PackageModel():
            return config.architecture


def read_shape(folder: Path) -> ModelShape | None:
    """The architecture in a folder's config.json; None for a family that is not one of `FAMILIES`.

    Raises:
        GiftError: the file is missing or no JSON object, or a size is no positive whole number.
    """
    values = read_json_object(folder / "config.json")
    if values.get("model_type") not in FAMILIES or values.get("attention_bias") or values.get("mlp_bias"):
        return None
    heads = values.get("num_attention_heads")
    named = {
        "layers": values.get("num_hidden_layers"),
        "hidden_size": values.get("hidden_size"),
        "intermediate_size": values.get("intermediate_size"),
        "attention_heads": heads,
        "key_value_heads": values.get("num_key_value_heads") or heads,
        "vocabulary_size": values.get("vocab_size"),
        "tied_embeddings": values.get("tie_word_embeddings", False),
        "attention_bias": values["model_type"] == "qwen2",
    }
    try:
        shape = ModelShape.model_validate(named, strict=True)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise GiftError(f"{folder / 'config.json'}: {wrong['loc'][0]}: {wrong['msg']}; fetch it again") from None
    usual = values.get("head_dim") in (None, shape.head_size) and shape.hidden_size % shape.attention_heads == 0
    return shape if usual else None


def check_architecture(config: ModelConfig, folder: Path) -> None:
    """Compare what the configuration states with the model in `folder`.

    Raises:
        GiftError: they differ; each differing value is named.
    """
    if not isinstance(config, HubModel | PackageModel) or config.architecture is None:
        return
    stated, found = config.architecture, read_shape(folder)
    if found is None:
        raise GiftError(
            f"model.architecture describes decoders of the Llama family ({', '.join(FAMILIES)}), which this model's "
            "config.json does not; remove it"
        )
    wrong = [
        f"{name} is {value}, not {getattr(stated, name)}"
        for name, value in found.model_dump().items()
        if value != getattr(stated, name)
    ]
    if wrong:
        raise GiftError(f"model.architecture differs from the model's config.json: {'; '.join(wrong)}; correct it")


def parameter_count(shape: ModelShape) -> int:
    """All weights: embeddings, layers, last norm, and the head unless it is tied."""
    embeddings = shape.vocabulary_size * shape.hidden_size * (1 if shape.tied_embeddings else 2)
    return embeddings + shape.layers * _layer_count(shape) + shape.hidden_size


def _layer_count(shape: ModelShape) -> int:
    """Of one layer: attention, gated MLP, two norms."""
    hidden, key_value = shape.hidden_size, shape.key_value_heads * shape.head_size
    attention = 2 * hidden * hidden + 2 * hidden * key_value
    biases = hidden + 2 * key_value if shape.attention_bias else 0
    return attention + biases + 3 * hidden * shape.intermediate_size + 2 * hidden


def adapter_count(shape: ModelShape, rank: int) -> int:
    """The weights of adapters of `rank` on all linear layers but the head: in + out of each, times the rank."""
    return shape.layers * rank * sum(into + out for into, out in _linear_layers(shape))


def _linear_layers(shape: ModelShape) -> list[tuple[int, int]]:
    """(in, out) of each in one layer of the decoder."""
    hidden, between = shape.hidden_size, shape.intermediate_size
    key_value = shape.key_value_heads * shape.head_size
    attention = [(hidden, hidden), (hidden, key_value), (hidden, key_value), (hidden, hidden)]
    return [*attention, (hidden, between), (hidden, between), (between, hidden)]


def largest_parameter(shape: ModelShape) -> int:
    """Elements of the largest matrix: the embedding, or one of the gated MLP."""
    return shape.hidden_size * max(shape.vocabulary_size, shape.intermediate_size)


def largest_block(shape: ModelShape) -> int:
    """Elements of what an engine is handed at least at once: the embedding, or a layer."""
    return max(shape.vocabulary_size * shape.hidden_size, _layer_count(shape))

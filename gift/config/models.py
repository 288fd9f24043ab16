"""Where the base model comes from."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gift.config.section import LARGEST, Commit, PositiveFloat, PositiveInt, Section

_HUB_WORD = "[A-Za-z0-9_]+([.-][A-Za-z0-9_]+)*"
HubName = Annotated[str, Field(pattern=f"^({_HUB_WORD}/)?{_HUB_WORD}$", max_length=96)]
"""`organisation/model`, as the hub allows it; a part of the mirror's addresses in S3."""


class ModelShape(Section):
    """The architecture of a decoder of the Llama family (Llama, Qwen2, DeepSeek LLM, SmolLM), in its config's words."""

    layers: PositiveInt
    hidden_size: PositiveInt
    intermediate_size: PositiveInt
    attention_heads: PositiveInt
    key_value_heads: PositiveInt
    vocabulary_size: PositiveInt
    tied_embeddings: bool = False
    attention_bias: bool = False
    """Biases in the projections to queries, keys and values, as in Qwen2."""

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.attention_heads


class ScratchModel(Section):
    """A small Llama with random weights and a byte-level BPE tokenizer trained on the demonstrations."""

    source: Literal["scratch"]
    hidden_size: PositiveInt = 128
    intermediate_size: PositiveInt = 512
    layers: PositiveInt = 3
    attention_heads: PositiveInt = 4
    initializer_range: PositiveFloat = 0.02
    vocabulary_size: Annotated[int, Field(ge=300, le=LARGEST)] = 512
    context_length: PositiveInt = 256

    @model_validator(mode="after")
    def heads_divide_hidden_size(self) -> Self:
        if self.hidden_size % self.attention_heads:
            raise ValueError(f"attention_heads must divide hidden_size ({self.hidden_size})")
        if self.hidden_size // self.attention_heads % 2:
            raise ValueError(
                f"hidden_size / attention_heads ({self.hidden_size} / {self.attention_heads}) must be even, as "
                "positions turn pairs of numbers"
            )
        return self


class PackageModel(Section):
    """A GGUF file inside an installed Python package, de-quantised when the run prepares its model."""

    source: Literal["package"]
    package: str
    file: str
    context_length: PositiveInt = 2048
    architecture: ModelShape | None = None
    """What the memory estimate of a dry run needs to know; checked when the run prepares its model."""


class HubModel(Section):
    """A model of the Hugging Face hub, pinned to a commit."""

    source: Literal["hub"]
    name: HubName
    revision: Commit
    context_length: PositiveInt = 4096
    architecture: ModelShape | None = None
    """What the memory estimate of a dry run needs to know before anything is downloaded; checked afterwards."""


class FolderModel(Section):
    """A folder with safetensors, config.json and a tokenizer."""

    source: Literal["folder"]
    path: Path
    context_length: PositiveInt = 4096


ModelConfig = Annotated[ScratchModel | PackageModel | HubModel | FolderModel, Field(discriminator="source")]

"""What a response is worth: one or more rewards, weighted and summed."""

from typing import Annotated, Literal

from pydantic import Field

from gift.config.models import FolderModel, HubModel
from gift.config.section import ImportPath, Name, PositiveInt, Seconds, Section

AnswerFormat = Literal["gsm8k", "boxed", "answer"]
"""Where a response states its answer: after the first `####`, in the last `\\boxed{}`, or after the last `Answer:`."""
Weight = Annotated[float, Field(allow_inf_nan=False)]


class Gsm8kReward(Section):
    """1 when the number after `####` is the problem's final answer, as text; the verifier of the local profile."""

    kind: Literal["gsm8k"]
    name: Name = "gsm8k"
    weight: Weight = 1.0


class MathReward(Section):
    """1 when the final answer equals the problem's (docs/rewards.md); each comparison has a hard time limit."""

    kind: Literal["math"]
    name: Name = "math"
    weight: Weight = 1.0
    formats: Annotated[tuple[AnswerFormat, ...], Field(min_length=1)] = ("boxed",)
    time_limit: Seconds = 5.0
    """Seconds of processor time per comparison."""
    workers: PositiveInt = 1
    """Processes per rank."""


class ModelReward(Section):
    """The score of a Hugging Face sequence classification model with one output."""

    kind: Literal["model"]
    name: Name = "model"
    weight: Weight = 1.0
    model: Annotated[FolderModel | HubModel, Field(discriminator="source")]
    normalise_length: bool = True
    """Divide by the square root of the response's tokens (arXiv 2510.23868)."""
    precision: Literal["fp32", "bf16"] = "fp32"
    batch_size: PositiveInt = 16


class FunctionReward(Section):
    """Your own function of (completion text, problem), in worker processes with a hard time limit."""

    kind: Literal["function"]
    name: Name = "function"
    weight: Weight = 1.0
    function: ImportPath
    time_limit: Seconds = 5.0
    workers: PositiveInt = 1


RewardConfig = Annotated[Gsm8kReward | MathReward | ModelReward | FunctionReward, Field(discriminator="kind")]

"""What an experiment sets out to do, as plain data: written by the pipeline's builder, read by the stage that compares.

Left out: configurations. The plan says how each variant differs from the profile; the stages get whole configurations.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from gift.config import Section

START = "sft"
"""Stands for the model that every variant starts from, where a variant's name would stand."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
"""Part of stage names."""
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0)]


class PlannedVariant(Section):
    """One way to train."""

    name: Name
    label: str
    """For people."""
    settings: tuple[str, ...]
    """`key=value`: how it differs from what all variants share."""
    learning_rates: Annotated[tuple[Positive, ...], Field(min_length=1)]
    """The grid that is tried with the tuning seed, or the one rate where nothing is tuned."""
    responses: Annotated[int, Field(gt=0)]
    """Responses that one training samples."""


class ExperimentPlan(Section):
    """An experiment."""

    name: Name
    title: str
    question: str
    profile: str
    """The profile's description."""
    command: str
    """What starts it, without the profile."""
    shared_settings: tuple[str, ...]
    """`key=value`: how all variants differ from the profile."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    tuning_seed: Seed | None
    """The learning rate is chosen by the results of this seed; None when each variant has one rate."""
    baseline: Name
    """The variant that the others are compared with."""
    benchmark: str
    """Decides the learning rate and heads the report."""
    metrics: tuple[str, ...]
    """Training metrics to show."""
    variants: Annotated[tuple[PlannedVariant, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def names_are_distinct(self) -> Self:
        names = [START, *(variant.name for variant in self.variants)]
        if len(set(names)) < len(names):
            raise ValueError(f"every variant needs a name of its own other than {START}, got {', '.join(names[1:])}")
        if self.baseline not in names[1:]:
            raise ValueError(f"the baseline {self.baseline} is no variant")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("the same seed twice gives the same result twice")
        return self


def trial_label(variant: str, seed: int, rate: float | None = None) -> str:
    """What tells two trainings apart in stage names: `grpo-seed1`, and `grpo-lr0.0006-seed0` while it is tuned."""
    return f"{variant}-seed{seed}" if rate is None else f"{variant}-lr{rate_text(rate)}-seed{seed}"


def rate_text(rate: float) -> str:
    """A learning rate in the shortest form that `float` reads back; rates have at most six significant digits."""
    return f"{rate:g}"

"""What makes a training sick, and what is done about it."""

from typing import Annotated, Literal

from pydantic import Field

from gift.config.section import NonNegativeFloat, PositiveFloat, PositiveInt, Section


class HealthConfig(Section):
    """Limits of a healthy training; see `gift.training.health`. null switches a limit off."""

    sick_update: Literal["skip", "rewind", "stop"] = "skip"
    """An update whose gradient is not finite, or too large, is left out. Then training goes on with the next batch
    (skip), goes on with it from the newest checkpoint (rewind), or stops."""
    sick_updates: PositiveInt = 5
    """So many in a row stop training, whatever `sick_update` says."""
    gradient_norm_factor: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None = None
    """A gradient is too large when its norm is more than so many times the median of the last 50. No limit by itself:
    `gradient_clipping` bounds the update, and those of GIFT's forms without a floor differ by orders of magnitude."""
    patience: PositiveInt = 20
    """Steps in a row that one of the following lasts before training stops: all rewards equal in every group, a reward
    that can judge no response, and what is beyond the limits below."""
    max_kl: PositiveFloat | None = 20.0
    """Of the policy from the SFT model, mean nats per token."""
    min_entropy: NonNegativeFloat | None = None
    max_entropy: PositiveFloat | None = None
    """Mean nats per token."""
    max_mean_length: PositiveFloat | None = None
    """Of the responses, in tokens."""
    runaway_factor: Annotated[float, Field(gt=1, allow_inf_nan=False)] | None = 5.0
    """KL, entropy or mean length has run away when the mean of 5 steps is more than so many times the median of the 50
    before (KL and entropy: and over 1 nat per token), or entropy or length less than that part of it."""
    runaway: Literal["warn", "stop"] = "warn"
    """After `patience` steps of it. A policy that learns fast grows sure of itself, so nothing stops by default."""

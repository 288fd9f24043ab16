"""The choices that each objective leaves open; docs/algorithms.md has the formulas and what each choice does.

`gift:` also takes the name of a published form, `paper-literal` or `author`, in place of a mapping.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from gift.config.section import NonNegativeFloat, PositiveFloat, Section

Algorithm = Literal["gift", "grpo", "gvpo", "dpo", "una", "dr_grpo", "dapo", "gspo", "cispo", "oapl"]
ZeroVariance = Literal["drop", "refill", "keep"]
"""Groups whose rewards are all equal: left out of the loss, replaced by sampling more prompts, or kept in."""

GIFT_FORMS: dict[str, dict[str, Any]] = {
    # arXiv 2510.23868 as it is written: the SFT reference and nothing but the standard deviation below. The epsilon
    # only keeps the first step finite, where every implicit reward is 0.
    "paper-literal": {
        "reference": "sft",
        "reduction": "sum",
        "statistics": "detached",
        "std": "biased",
        "std_floor": 0.0,
        "std_epsilon": 1e-6,
        "zero_variance": "keep",
    },
    # The code that the paper's author published: no reference model, unbiased statistics, nothing filtered.
    "author": {
        "reference": "rollout",
        "reduction": "sum",
        "statistics": "detached",
        "std": "unbiased",
        "std_floor": 0.0,
        "std_epsilon": 1e-6,
        "zero_variance": "keep",
    },
}


class GiftConfig(Section):
    """GIFT (arXiv 2510.23868)."""

    reference: Literal["sft", "rollout"] = "sft"
    """π_ref of the implicit reward: the SFT model (the paper) or the policy that sampled (the author's code)."""
    reduction: Literal["sum", "mean"] = "sum"
    """Log-ratios of a response's tokens are summed (the paper's kl_sum) or averaged (kl_average)."""
    statistics: Literal["detached", "attached"] = "detached"
    """Whether the gradient flows through the group's mean and standard deviation of the implicit reward."""
    std: Literal["biased", "unbiased"] = "biased"
    """Divisor N or N − 1, the same for both rewards."""
    std_floor: NonNegativeFloat = 3.0
    """The standard deviation of the implicit reward counts as at least this, in nats (per token with `mean`)."""
    std_epsilon: NonNegativeFloat = 0.0
    """Added to the standard deviation after the floor."""
    scale: PositiveFloat = 1.0
    """Factor on the normalised implicit reward; anything but 1 is another objective."""
    zero_variance: ZeroVariance = "drop"

    @model_validator(mode="before")
    @classmethod
    def named_form(cls, values: Any) -> Any:
        if not isinstance(values, str):
            return values
        if values not in GIFT_FORMS:
            raise ValueError(f"must be a mapping or one of {', '.join(GIFT_FORMS)}, got {values!r}")
        return GIFT_FORMS[values]

    @model_validator(mode="after")
    def never_divides_by_zero(self) -> Self:
        if self.std_floor + self.std_epsilon == 0:
            raise ValueError("std_floor or std_epsilon must be positive: at the first step every implicit reward is 0")
        return self


class GrpoConfig(Section):
    """GRPO (arXiv 2402.03300)."""

    clip_low: NonNegativeFloat = 0.2
    clip_high: NonNegativeFloat = 0.2
    kl_coefficient: NonNegativeFloat = 0.001
    normalise_std: bool = True
    importance_cap: PositiveFloat | None = None
    """Truncated importance sampling: the largest weight π_old/π_sampler of a token, where π_old is the policy before
    the batch's first update; None clips the ratio to the policy that sampled instead."""
    zero_variance: ZeroVariance = "keep"


class DrGrpoConfig(Section):
    """Dr. GRPO (arXiv 2503.20783): no standard deviation, and each token weighs 1/rollout.max_new_tokens."""

    clip_low: NonNegativeFloat = 0.2
    clip_high: NonNegativeFloat = 0.2
    kl_coefficient: NonNegativeFloat = 0.0
    zero_variance: ZeroVariance = "keep"


class DapoConfig(Section):
    """DAPO (arXiv 2503.14476)."""

    clip_low: NonNegativeFloat = 0.2
    clip_high: NonNegativeFloat = 0.28
    overlong_filter: bool = True
    """Responses that were cut off at rollout.max_new_tokens enter the group's statistics, but not the loss."""
    overlong_penalty: NonNegativeFloat = 0.5
    """What the longest response loses of its reward; the paper's 1, which is for rewards of −1 and 1, is 0.5 for
    rewards of 0 and 1."""
    overlong_share: Annotated[float, Field(gt=0, le=1)] = 0.2
    """The last part of rollout.max_new_tokens over which that loss grows from 0; the paper's 4,096 of 20,480 tokens."""
    zero_variance: ZeroVariance = "refill"


class GspoConfig(Section):
    """GSPO (arXiv 2507.18071)."""

    clip_low: NonNegativeFloat = 3e-4
    clip_high: NonNegativeFloat = 4e-4
    kl_coefficient: NonNegativeFloat = 0.0
    zero_variance: ZeroVariance = "keep"


class CispoConfig(Section):
    """CISPO (arXiv 2506.13585)."""

    weight_max: PositiveFloat = 5.0
    """The largest weight of a token: the paper's 1 + ε_high, TRL's epsilon_high."""
    zero_variance: ZeroVariance = "keep"


class OaplConfig(Section):
    """OAPL (arXiv 2602.19362)."""

    beta: PositiveFloat = 1e-3
    """Of the log-ratio that is regressed (the paper's β₂)."""
    value_beta: PositiveFloat = 1.0
    """Of the optimal value's estimate, in units of the reward (the paper's β₁)."""
    zero_variance: ZeroVariance = "keep"


class GvpoConfig(Section):
    """GVPO (arXiv 2504.19599)."""

    reference: Literal["sft", "rollout"] = "sft"
    """π_ref of the implicit reward: the SFT model, or the policy that sampled (the authors' code)."""
    beta: PositiveFloat = 0.1
    zero_variance: ZeroVariance = "keep"


class DpoConfig(Section):
    """DPO (arXiv 2305.18290) on every pair of a group whose rewards differ; a group without a pair is left out."""

    beta: PositiveFloat = 0.1


class UnaConfig(Section):
    """UNA (arXiv 2408.15339) with squared error; rewards are scores between 0 and 1, and every group counts."""

    beta: PositiveFloat = 0.1

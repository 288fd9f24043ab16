"""`comparison.json`: everything an experiment found out, in one file that people and programs can rely on.

The schema is closed: a key it does not know or a number that is not finite is refused.

Left out: the curves of single seeds (MLflow has them); here they are a mean with its interval.
"""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, FiniteFloat, JsonValue, model_validator

from gift.config import Section
from gift.report.comparison.plan import ExperimentPlan
from gift.report.files import load_document, save_document
from gift.report.schema import Count, CurveValue, Seconds


class Estimate(Section):
    """One number per seed, in the order of the plan's seeds, and their mean with its 95 % interval (Student's t)."""

    values: tuple[FiniteFloat | None, ...]
    """None where a seed has no finite value."""
    mean: FiniteFloat | None
    low: FiniteFloat | None
    high: FiniteFloat | None
    """The interval needs two seeds."""

    @model_validator(mode="after")
    def the_interval_surrounds_the_mean(self) -> Self:
        known = sum(value is not None for value in self.values)
        if (
            (self.mean is None) != (known == 0)
            or (self.low is None) != (known < 2)
            or (self.high is None) != (known < 2)
        ):
            raise ValueError(f"{known} values do not go with mean {self.mean}, low {self.low}, high {self.high}")
        if self.mean is not None and self.low is not None and self.high is not None:
            slack = 1e-9 * max(1.0, abs(self.mean))
            if not self.low - slack <= self.mean <= self.high + slack:
                raise ValueError(f"mean {self.mean} lies outside {self.low} to {self.high}")
        return self


class GridPoint(Section):
    """A learning rate that was tried with the tuning seed."""

    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    scores: dict[str, FiniteFloat]
    """benchmark → accuracy."""


CurvePoint = tuple[Count, CurveValue, CurveValue, CurveValue]
"""Step, mean over seeds, and the ends of its interval."""


class VariantResult(Section):
    """What came of one way to train."""

    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    grid: tuple[GridPoint, ...]
    """Empty where nothing was tuned."""
    scores: dict[str, Estimate]
    """benchmark → accuracy."""
    differences: dict[str, Estimate]
    """benchmark → accuracy minus the baseline's with the same seed."""
    metrics: dict[str, Estimate]
    """Training metric → its mean over the last tenth of the training."""
    curves: dict[str, tuple[CurvePoint, ...]]
    seconds: tuple[Seconds | None, ...]
    """Wall time of the training steps by seed, without start-up and held-out looks."""
    tokens: tuple[Count | None, ...]
    """Prompt and response tokens by seed."""

    @property
    def best_at_edge(self) -> bool:
        """The best rate of the grid is its lowest or its highest, so that a better one may lie outside."""
        rates = sorted(point.learning_rate for point in self.grid)
        return len(rates) > 1 and self.learning_rate in (rates[0], rates[-1])


class LengthResult(Section):
    """One model's answers to the heading benchmark by their length in tokens."""

    tokens: Estimate
    """Mean length."""
    longer: Estimate
    """Accuracy of the longer of two answers to one problem minus that of the shorter one."""
    matched: Estimate | None
    """Accuracy minus the baseline's at the baseline's lengths; None for the baseline itself."""
    shares: tuple[Estimate, ...]
    """Part of the lengths → share of the answers."""
    accuracies: tuple[Estimate, ...]
    """Part of the lengths → accuracy."""


class AnswersByLength(Section):
    """Accuracy by length; see `gift.report.comparison.lengths`."""

    ends: tuple[Count, ...]
    """Tokens of the longest answer in every part but the last."""
    start: LengthResult
    variants: dict[str, LengthResult]

    @model_validator(mode="after")
    def every_part_has_its_numbers(self) -> Self:
        results = (self.start, *self.variants.values())
        if any(len(numbers) != len(self.ends) + 1 for one in results for numbers in (one.shares, one.accuracies)):
            raise ValueError(f"{len(self.ends)} ends make {len(self.ends) + 1} parts, each with share and accuracy")
        return self


class Comparison(Section):
    """A whole experiment."""

    run_id: str
    finished: AwareDatetime
    plan: ExperimentPlan
    start: dict[str, Estimate]
    """benchmark → accuracy of the SFT model that every variant started from."""
    variants: dict[str, VariantResult]
    """By name, in the plan's order."""
    lengths: AnswersByLength | None = None
    """None where there are no answers to read, and in files of before."""
    provenance: dict[str, str]
    config: dict[str, JsonValue]
    """What all variants share."""

    @model_validator(mode="after")
    def holds_what_was_planned(self) -> Self:
        planned = [variant.name for variant in self.plan.variants]
        if list(self.variants) != planned:
            raise ValueError(f"the plan has the variants {', '.join(planned)}, the results {', '.join(self.variants)}")
        every = [estimate for result in self.variants.values() for estimate in result.scores.values()]
        if any(len(estimate.values) != len(self.plan.seeds) for estimate in (*every, *self.start.values())):
            raise ValueError(f"every score needs {len(self.plan.seeds)} values, one per seed")
        return self

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """All benchmarks, the one that heads the report first."""
        return (self.plan.benchmark, *(name for name in self.start if name != self.plan.benchmark))


def load_comparison(path: Path) -> Comparison:
    """Read a `comparison.json`; raises `GiftError` when it cannot be read or is no comparison."""
    return load_document(Comparison, path)


def save_comparison(comparison: Comparison, path: Path) -> None:
    """Write `comparison.json`, as a whole or not at all; raises `GiftError` when the file cannot be written."""
    save_document(comparison, path)

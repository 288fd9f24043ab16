"""`report.json`: everything a run found out, in one file that people and programs can rely on.

The schema is closed: a key it does not know, a score outside [0, 1] or a number that is not finite is refused, so that
a report which loads can be compared with any other.

Left out on purpose: the configuration's own schema. It is kept as plain JSON, so that old reports stay readable when
`RunConfig` grows.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    Field,
    FiniteFloat,
    JsonValue,
    model_validator,
)

from gift.config import PARTIAL, Section, asks_base_alone, problem_set
from gift.report.files import load_document, parse_document, save_document

REPORT_FOLDER = "report"
"""Where a run keeps its report: `<storage>/runs/<run id>/report`."""

ModelName = Literal["base", "sft", "champion", "candidate"]
"""`champion`: the version that reigned when the gate decided, as this run evaluated it."""
Change = Literal["better", "worse", "same"]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds = Amount


def _none_if_not_finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


CurveValue = Annotated[FiniteFloat | None, BeforeValidator(_none_if_not_finite)]
"""A logged value; NaN and infinities become null, a gap in the curve, so that a diverged run still gets its report."""


class Score(Section):
    """One model on one benchmark."""

    accuracy: Share
    stderr: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    n: Annotated[int, Field(gt=0)]
    """Number of problems."""
    metrics: dict[str, FiniteFloat] = Field(default_factory=dict)
    """Secondary metrics, such as `flexible_extract`."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """What the score depends on: lm-eval's version, few-shot examples, decoding, limit, seed."""


class AccuracyDifference(Section):
    """A paired difference of two models' accuracies on the same problems, as shares (0.01 is one point)."""

    name: str
    """`candidate - sft`, `candidate - base` or `candidate - champion`."""
    benchmark: str
    difference: Annotated[float, Field(ge=-1, le=1)]
    stderr: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    n: Annotated[int, Field(gt=0)]
    confidence_low: FiniteFloat
    confidence_high: FiniteFloat
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Level of the interval."""


class ReportedVerdict(Section):
    """The gate's decision, with the comparisons on its benchmarks first."""

    promoted: bool
    """The gate was for it, and the version is champion in the registry."""
    decision: Literal["promote", "keep", "undecided"] | None = None
    """None in a report that is older than gates of several benchmarks."""
    reasons: tuple[str, ...]
    """The decision's sentence, and each benchmark's."""
    champion: str | None = None
    """Version of the model that reigned then; None where there was none, and in an older report."""
    comparisons: tuple[AccuracyDifference, ...] = ()


class RegisteredVersion(Section):
    """The model version in the MLflow registry."""

    model: str
    version: str
    alias: Literal["champion", "challenger"] | None
    """As the registry had it when the report was written; None where a later run has taken it."""
    source: str


class Sample(Section):
    """A held-out problem and what each model answered."""

    question: str
    final_answer: str
    completions: dict[ModelName, str]
    correct: dict[ModelName, bool]

    @model_validator(mode="after")
    def every_completion_is_marked(self) -> Self:
        if self.completions.keys() != self.correct.keys():
            raise ValueError("completions and correct must name the same models")
        return self


class GivenAnswer(Section):
    """What a model answered to a problem."""

    text: str
    answer: str | None
    """The final answer that was found in it; None for none."""
    score: Share
    """Of all its answers to the problem, the mean."""
    samples: Annotated[int, Field(gt=0)]
    """How many these are; one of them is shown."""


class AnsweredTwice(Section):
    """A problem of a benchmark before and after the training of the policy."""

    benchmark: str
    change: Change
    """Of the score, from SFT model to candidate."""
    question: str
    reference: str
    """The final answer that is right."""
    sft: GivenAnswer
    candidate: GivenAnswer


class DataSet(Section):
    """A data set that the run read."""

    uri: str
    digest: str
    rows: Count


class BenchmarkOverlap(Section):
    """How many problems of a benchmark are in what was trained on; `gift.data.contamination` has the two rules."""

    problems: Count
    trained_on: Count
    """All of it, in one row."""
    overlapping: Count
    """Most of it, or all."""


class PathStep(Section):
    """A stage on the critical path, and where its share of the run's time went."""

    stage: str
    waiting: Seconds
    """Since the stage before it ended: for a pod, a node or another attempt."""
    start_up: Seconds
    """Of its processes, until Python had imported what a stage needs and MLflow had its run."""
    computing: Seconds


class StageCost(Section):
    """Of what the profile gives a stage."""

    cpu_hours: Amount
    """Cores times hours."""
    gpu_hours: Amount


class Artifact(Section):
    """A directory that the run wrote."""

    uri: str
    digest: str


class Report(Section):
    """A whole run, from its data to the gate's verdict."""

    run_id: str
    profile: str
    """The profile's description."""
    finished: AwareDatetime
    models: dict[ModelName, dict[str, Score]]
    verdict: ReportedVerdict
    registry: RegisteredVersion
    seconds: dict[str, Seconds]
    """stage → wall time that this run spent on it; little for a reused stage."""
    reused: tuple[str, ...] = ()
    """Stages whose outputs came from an earlier run; a subset of the keys of `seconds`."""
    cost: dict[str, StageCost] = Field(default_factory=dict)
    """stage → what this run spent on it; empty in an older report."""
    critical_path: tuple[PathStep, ...] = ()
    """From the run's start to this report, in the order of the stages."""
    curves: dict[str, dict[str, tuple[tuple[Count, CurveValue], ...]]] = Field(default_factory=dict)
    """stage → metric → (step, value) in the order of the steps."""
    samples: tuple[Sample, ...] = ()
    answer_changes: dict[str, dict[Change, Count]] = Field(default_factory=dict)
    """Benchmark → what became better, worse or stayed the same from SFT model to candidate, in problems."""
    answered_twice: tuple[AnsweredTwice, ...] = ()
    """Some of these problems; `gift.report.answer_changes` says which."""
    data: dict[str, DataSet]
    contamination: dict[str, BenchmarkOverlap] = Field(default_factory=dict)
    """Set of problems, as `gsm8k` of the benchmarks `gsm8k` and `gsm8k_greedy` → how much of it was trained on."""
    artifacts: dict[str, Artifact]
    provenance: dict[str, str]
    config: dict[str, JsonValue]

    @model_validator(mode="after")
    def reused_stages_are_known(self) -> Self:
        unknown = sorted(set(self.reused) - set(self.seconds))
        if unknown:
            raise ValueError(f"reused names stages that seconds does not: {', '.join(unknown)}")
        return self

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """The names of all benchmarks, in the order in which the models list them; but not `known_by_heart`."""
        names = dict.fromkeys(name for scores in self.models.values() for name in scores)
        return tuple(name for name in names if not asks_base_alone(name))

    def overlap(self, benchmark: str) -> BenchmarkOverlap | None:
        """Of the problems that a benchmark asks with what was trained on; None in an older report."""
        return self.contamination.get(problem_set(benchmark) or "")

    def known_by_heart(self, benchmark: str) -> Score | None:
        """The share of its problems that the base model completes from their beginning; None where it was not asked."""
        problems = problem_set(benchmark)
        return self.models.get("base", {}).get(problems + PARTIAL) if problems else None


def parse_report(values: Mapping[str, Any] | str, where: str = "report") -> Report:
    """Validate plain values (or a JSON text) as a `Report`; raises `GiftError` with every refused key in one line."""
    return parse_document(Report, values, where)


def load_report(path: Path) -> Report:
    """Read and validate a `report.json`; raises `GiftError` when the file cannot be read or is no report."""
    return load_document(Report, path)


def save_report(report: Report, path: Path) -> None:
    """Write `report.json`, as a whole or not at all; raises `GiftError` when the file cannot be written."""
    save_document(report, path)

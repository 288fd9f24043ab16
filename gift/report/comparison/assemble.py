"""From the evaluations and the training records of an experiment to its `Comparison`.

A training is found by its stage's name. Where a stage took its output from another one (the chosen learning rate was
already trained with the tuning seed), the curves are that other stage's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import JsonValue

from gift.errors import GiftError
from gift.report.comparison.lengths import answers_by_length
from gift.report.comparison.plan import START, ExperimentPlan, PlannedVariant, trial_label
from gift.report.comparison.schema import Comparison, CurvePoint, Estimate, GridPoint, VariantResult
from gift.report.comparison.statistics import difference_by_seed, estimate

if TYPE_CHECKING:
    from gift.evaluation.answers import Answer
    from gift.evaluation.results import BenchmarkResult
    from gift.tracking import StageRecord

TRAINING = "train-policy"
"""Stage whose curves are compared."""

Curve = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Findings:
    """What the stages of an experiment left behind."""

    evaluations: Mapping[str, Mapping[str, "BenchmarkResult"]]
    """Trial (see `trial_label`) → benchmark → result."""
    answers: Mapping[str, Sequence["Answer"]]
    """Trial → its answers to the heading benchmark; none where it asks for likelihoods."""
    learning_rates: Mapping[str, float]
    """Variant → the rate that was used with all seeds."""
    records: Mapping[str, "StageRecord"]
    """Stage → what it logged."""


def assemble(
    plan: ExperimentPlan,
    findings: Findings,
    *,
    run_id: str,
    finished: datetime,
    provenance: dict[str, str],
    config: dict[str, JsonValue],
) -> Comparison:
    """Raises: GiftError: an evaluation or a training that the plan has is not among the findings."""
    start = _scores(plan, findings, START)
    scores = {variant.name: _scores(plan, findings, variant.name) for variant in plan.variants}
    return Comparison(
        run_id=run_id,
        finished=finished,
        plan=plan,
        start=start,
        variants={
            variant.name: _result(plan, findings, variant, scores[variant.name], scores[plan.baseline])
            for variant in plan.variants
        },
        lengths=answers_by_length(
            _answers(plan, findings, START),
            {variant.name: _answers(plan, findings, variant.name) for variant in plan.variants},
            plan.baseline,
        ),
        provenance=provenance,
        config=config,
    )


def _scores(plan: ExperimentPlan, findings: Findings, variant: str) -> dict[str, Estimate]:
    results = [_evaluation(findings, trial_label(variant, seed)) for seed in plan.seeds]
    return {task: estimate([result[task].accuracy for result in results]) for task in results[0]}


def _answers(plan: ExperimentPlan, findings: Findings, variant: str) -> list[Sequence["Answer"]]:
    return [findings.answers[trial_label(variant, seed)] for seed in plan.seeds]


def _result(
    plan: ExperimentPlan,
    findings: Findings,
    variant: PlannedVariant,
    scores: dict[str, Estimate],
    baseline: dict[str, Estimate],
) -> VariantResult:
    curves = [_training_curves(findings, trial_label(variant.name, seed)) for seed in plan.seeds]
    logged = [name for name in plan.metrics if any(name in by_name for by_name in curves)]
    return VariantResult(
        learning_rate=findings.learning_rates[variant.name],
        grid=_grid(plan, findings, variant),
        scores=scores,
        differences={
            task: difference_by_seed(score.values, baseline[task].values)
            for task, score in scores.items()
            if variant.name != plan.baseline
        },
        metrics={name: estimate([_final(by_name.get(name, ())) for by_name in curves]) for name in logged},
        curves={name: _mean_curve([by_name.get(name, ()) for by_name in curves]) for name in logged},
        seconds=tuple(_sum(by_name.get("step_time", ())) for by_name in curves),
        tokens=tuple(_last(by_name.get("num_tokens", ())) for by_name in curves),
    )


def _evaluation(findings: Findings, trial: str) -> Mapping[str, "BenchmarkResult"]:
    if trial not in findings.evaluations:
        raise GiftError(f"the experiment has no evaluation of {trial}; start it again to make what is missing")
    return findings.evaluations[trial]


def _grid(plan: ExperimentPlan, findings: Findings, variant: PlannedVariant) -> tuple[GridPoint, ...]:
    if plan.tuning_seed is None:
        return ()
    points = []
    for rate in variant.learning_rates:
        results = _evaluation(findings, trial_label(variant.name, plan.tuning_seed, rate))
        points.append(GridPoint(learning_rate=rate, scores={task: result.accuracy for task, result in results.items()}))
    return tuple(points)


def _training_curves(findings: Findings, trial: str) -> Mapping[str, Curve]:
    stage = f"{TRAINING}-{trial}"
    if stage not in findings.records:
        raise GiftError(f"MLflow has no stage {stage} in this experiment; start it again to make what is missing")
    own = findings.records[stage]
    if own.curves:
        return own.curves
    others = (record.curves for record in findings.records.values() if record.output == own.output and record.curves)
    return next(others, {})


def _mean_curve(curves: Sequence[Curve]) -> tuple[CurvePoint, ...]:
    by_step = [dict(curve) for curve in curves]
    points = []
    for step in sorted({step for values in by_step for step in values}):
        seeds = estimate([values.get(step) for values in by_step])
        points.append((step, seeds.mean, seeds.low, seeds.high))
    return tuple(points)


def _final(curve: Curve) -> float | None:
    last_tenth = curve[-max(1, len(curve) // 10) :]
    return sum(value for _, value in last_tenth) / len(last_tenth) if last_tenth else None


def _sum(curve: Curve) -> float | None:
    return sum(value for _, value in curve) if curve else None


def _last(curve: Curve) -> int | None:
    return round(curve[-1][1]) if curve else None

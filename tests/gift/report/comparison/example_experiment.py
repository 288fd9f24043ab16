"""A small experiment with made-up numbers: two variants, two seeds, a grid of two rates."""

from datetime import UTC, datetime
from typing import Any

from gift.evaluation.answers import Answer
from gift.evaluation.results import BenchmarkResult, EvaluationSettings
from gift.report.comparison.assemble import Findings, assemble
from gift.report.comparison.plan import ExperimentPlan, PlannedVariant, trial_label
from gift.report.comparison.schema import Comparison
from gift.tracking import StageRecord

SETTINGS = EvaluationSettings(
    lm_eval_version="0", task_version="0", fewshot_count=0, samples=1, decoding={}, precision="fp32", batch_size=1,
    limit=None, seed=0,
)  # fmt: skip
ACCURACIES = {
    "sft-seed0": 0.15,
    "sft-seed1": 0.17,
    "gift-lr0.0002-seed0": 0.5,
    "gift-lr0.0006-seed0": 0.6,
    "grpo-lr0.0002-seed0": 0.62,
    "grpo-lr0.0006-seed0": 0.4,
    "gift-seed0": 0.6,
    "gift-seed1": 0.64,
    "grpo-seed0": 0.62,
    "grpo-seed1": 0.67,
}


def example_plan(**changes: Any) -> ExperimentPlan:
    """The plan; `changes` replace its fields."""
    variants = tuple(
        PlannedVariant(
            name=name, label=name.upper(), settings=(f"algorithm={name}",), learning_rates=rates, responses=640
        )
        for name, rates in (("gift", (0.0002, 0.0006)), ("grpo", (0.0002, 0.0006)))
    )
    fields = {
        "name": "head-to-head",
        "title": "Two objectives",
        "question": "Which one?",
        "profile": "Small",
        "command": "gift experiment head-to-head --seeds 2 --tune",
        "shared_settings": ("rl.heldout_every=2",),
        "seeds": (0, 1),
        "tuning_seed": 0,
        "baseline": "gift",
        "benchmark": "heldout_sampled",
        "metrics": ("reward", "kl", "gift/correlation"),
        "variants": variants,
    }
    return ExperimentPlan(**{**fields, **changes})


def example_findings() -> Findings:
    """All trials; the tuning seed's training at the chosen rate was reused, so its curves are the grid's."""
    trained = [trial for trial in ACCURACIES if not trial.startswith("sft")]
    records = {f"train-policy-{trial}": _record(trial, reused=False) for trial in trained}
    for variant, rate in (("gift", 0.0006), ("grpo", 0.0002)):
        source = f"train-policy-{trial_label(variant, 0, rate)}"
        records[f"train-policy-{variant}-seed0"] = _record(
            f"{variant}-seed0", reused=True, output=records[source].output
        )
    return Findings(
        evaluations={trial: evaluation(accuracy) for trial, accuracy in ACCURACIES.items()},
        answers={trial: [answer("p", 20, 0.0), answer("p", 40, accuracy)] for trial, accuracy in ACCURACIES.items()},
        learning_rates={"gift": 0.0006, "grpo": 0.0002},
        records=records,
    )


def evaluation(accuracy: float) -> dict[str, BenchmarkResult]:
    """Greedy answers are 0.2 better than sampled ones."""
    return {task: _result(task, accuracy + gain) for task, gain in (("heldout", 0.2), ("heldout_sampled", 0.0))}


def answer(problem: str, tokens: int, score: float) -> Answer:
    """One sampled answer of so many tokens."""
    return Answer("heldout_sampled", problem, 0, "?", "1", "?", "1", "1", score, True, tokens, False)


def example_comparison(**changes: Any) -> Comparison:
    """The example assembled; `changes` replace fields of the plan."""
    return assemble(
        example_plan(**changes),
        example_findings(),
        run_id="head-to-head-local-1a2b3c4d",
        finished=datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
        provenance={"git_sha": "0123abc"},
        config={"description": "Small", "seed": 0},
    )


def _result(task: str, accuracy: float) -> BenchmarkResult:
    return BenchmarkResult(
        task=task, accuracy=accuracy, stderr=0.0, n=1, ids=("a",), correct=(accuracy,), secondary={}, settings=SETTINGS
    )


def _record(trial: str, reused: bool, output: str = "") -> StageRecord:
    """20 steps of half a second whose reward rises to the trial's accuracy."""
    top = ACCURACIES[trial]
    curves = {
        "reward": tuple((step, top * (step + 1) / 20) for step in range(20)),
        "kl": tuple((step, 0.1 * step if trial != "grpo-seed1" else float("nan")) for step in range(20)),
        "step_time": tuple((step, 0.5) for step in range(20)),
        "num_tokens": tuple((step, 1000.0 * (step + 1)) for step in range(20)),
    }
    if trial.startswith("gift"):
        curves["gift/correlation"] = tuple((step, 0.5) for step in range(20))
    return StageRecord(
        status="FINISHED",
        seconds=1.0,
        began=0.0,
        start_up=0.0,
        ended=1.0,
        reused=reused,
        output=output or f"s3://gift/checkpoints/{trial}",
        output_digest="d",
        curves={} if reused else curves,
    )

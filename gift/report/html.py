"""`report.html`: one self-contained file, without anything from the network.

What a model wrote is hostile text: the template escapes every value, and the page's own content security policy
forbids requests and every script but the page's own (by its digest), should that ever fail.

Left out: anything that can't be read without JavaScript, which only filters and copies.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC

from markupsafe import Markup
from pydantic import JsonValue

from gift.report import wording
from gift.report.charts import accuracy_chart, at_k, curve_chart, samples_chart, seconds_chart
from gift.report.pages import page_template
from gift.report.rerun_command import reproduction_command
from gift.report.schema import AccuracyDifference, ModelName, PathStep, Report, Score, StageCost

TEMPLATE = "report.html.jinja"
SCRIPT = "report.js.jinja"


@dataclass(frozen=True)
class ResultRow:
    """One benchmark of the results table."""

    label: str
    problems: str
    contamination: str
    """How many of them were trained on; empty where nobody counted."""
    scores: dict[ModelName, Score | None]
    gain: AccuracyDifference | None
    plain_difference: float | None
    chart: Markup
    samples_chart: Markup | None
    """By the number of samples; None where there is one per problem."""


@dataclass(frozen=True)
class Curve:
    """One metric of one stage."""

    title: str
    meaning: str
    chart: Markup


@dataclass(frozen=True)
class CurveText:
    """How a logged metric is explained to a reader."""

    title: str
    unit: str
    meaning: str


CURVE_TEXTS = {
    "reward": CurveText("Reward", "mean reward", "Mean reward of the sampled responses: what training should raise."),
    "kl": CurveText(
        "KL to the reference", "nats per token", "How far the policy has moved from the model it started from."
    ),
    "heldout_accuracy": CurveText(
        "Held-out accuracy", "share", "Sampled answers to held-out problems, judged as in training."
    ),
    "overfitting_gap": CurveText(
        "Overfitting gap", "share", "Accuracy on the training prompts of the step minus held-out accuracy."
    ),
    "gift/implicit_reward_std": CurveText(
        "Spread of the implicit reward", "nats", "Standard deviation within a group; near 0 the policy is frozen."
    ),
    "gift/correlation": CurveText(
        "Explicit and implicit reward",
        "correlation",
        "Do the policy's preferences agree with the rewards? 1 is full agreement.",
    ),
    "completions/mean_length": CurveText("Response length", "tokens", "Mean length of the sampled responses."),
    "loss": CurveText("Loss", "loss", "The objective that the optimizer lowers."),
}
"""The curves that every reader should see, in this order; a stage's other metrics are folded away."""


def render_report(report: Report) -> str:
    """The report as one HTML page; the same report gives the same bytes."""
    script = page_template(SCRIPT).render()
    return page_template(TEMPLATE).render(
        report=report,
        script=Markup(script),  # noqa: S704 - a file of this package, without values
        script_digest=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        compared_problems=sum(sum(counts.values()) for counts in report.answer_changes.values()),
        wording=wording,
        finished=report.finished.astimezone(UTC).strftime("%d %b %Y, %H:%M UTC"),
        results=[_result_row(report, benchmark) for benchmark in report.benchmarks],
        known_by_heart=any(report.known_by_heart(benchmark) for benchmark in report.benchmarks),
        curves={stage: _curves(report, stage, shown=True) for stage in report.curves},
        other_curves={stage: _curves(report, stage, shown=False) for stage in report.curves},
        seconds_chart=seconds_chart(report.seconds, report.reused),
        total_seconds=sum(report.seconds.values()),
        total_cost=_total_cost(report),
        command=reproduction_command(report),
        path_rows=[*report.critical_path, _path_total(report)],
        config_json=json.dumps(report.config, indent=2, ensure_ascii=False),
        setting_text=_setting_text,
    )


def _total_cost(report: Report) -> StageCost:
    costs = report.cost.values()
    return StageCost(cpu_hours=sum(one.cpu_hours for one in costs), gpu_hours=sum(one.gpu_hours for one in costs))


def _path_total(report: Report) -> PathStep:
    """The sums, as the last row of the table."""
    steps = report.critical_path
    return PathStep(
        stage="together",
        waiting=sum(step.waiting for step in steps),
        start_up=sum(step.start_up for step in steps),
        computing=sum(step.computing for step in steps),
    )


def _setting_text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _result_row(report: Report, benchmark: str) -> ResultRow:
    scores = {model: report.models.get(model, {}).get(benchmark) for model in wording.model_labels(report)}
    counts = list(dict.fromkeys(score.n for score in scores.values() if score))
    sampled = {model: score for model, score in scores.items() if score and at_k(score, "pass")}
    return ResultRow(
        label=wording.benchmark_label(benchmark),
        problems=" / ".join(f"{count:,}" for count in counts) + " problems",
        contamination=wording.contamination_text(report, benchmark),
        scores=scores,
        gain=wording.gain(report, benchmark),
        plain_difference=wording.plain_difference(report, benchmark),
        chart=accuracy_chart(
            f"accuracy/{benchmark}",
            {model: score for model, score in scores.items() if score},
            wording.model_labels(report),
        ),
        samples_chart=samples_chart(f"samples/{benchmark}", sampled) if sampled else None,
    )


def _curves(report: Report, stage: str, shown: bool) -> list[Curve]:
    """The stage's curves that are always shown, in the order of `CURVE_TEXTS`; or else all the others."""
    recorded = report.curves[stage]
    names = (
        [name for name in CURVE_TEXTS if name in recorded] if shown else sorted(recorded.keys() - CURVE_TEXTS.keys())
    )
    return [_curve(report, stage, name) for name in names if recorded[name]]


def _curve(report: Report, stage: str, name: str) -> Curve:
    model: ModelName = "sft" if stage.endswith("sft") else "candidate"
    text = CURVE_TEXTS.get(name, CurveText(title=name, unit="", meaning=""))
    return Curve(text.title, text.meaning, curve_chart(f"{stage}/{name}", model, report.curves[stage][name], text.unit))

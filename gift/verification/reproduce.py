"""A report's evaluation done again: the same models, data and configuration, on this machine.

Numbers may move where kernels round differently, or samples are drawn otherwise; the finding says by how much, and
whether by more than twice the standard error of the difference of two independent evaluations.

Left out: training again.
"""

import math
from collections.abc import Callable, Iterator, Sequence

from gift.config import parse_config
from gift.evaluation.results import BenchmarkResult
from gift.report.schema import ModelName, Report
from gift.verification.finding import ReportFinding, differs, holds
from gift.verification.stored import MODEL_STAGES, artifact_of, fetched, stored_evaluation

ERRORS = 2.0
"""How many standard errors a number may move."""


def reproduce_report(
    report: Report, models: Sequence[ModelName], progress: Callable[[str, int, int], None]
) -> Iterator[ReportFinding]:
    """One finding per model and benchmark.

    Args:
        progress: (task, finished completions, all completions).

    Raises:
        GiftError: a model, the data or an evaluation is not there any more; S3 failed; or the evaluation itself did.
    """
    from gift.evaluation.harness import evaluate_model  # takes seconds
    from gift.models.device import choose_device

    config = parse_config(dict(report.config), where="the report's configuration")
    device = choose_device(config.compute.device)
    for model in models:
        stage = MODEL_STAGES[model] if config.sft.steps or model != "sft" else MODEL_STAGES["base"]
        evaluation = config.evaluation.of_model(base=model == "base")
        with fetched(artifact_of(report, stage)) as folder, fetched(artifact_of(report, "prepare-data")) as data:
            again, _ = evaluate_model(folder, data, evaluation, config.prompt_format, config.seed, device, progress)
        before = stored_evaluation(report, model).results
        yield from (_finding(model, before[task], result) for task, result in again.items())


def _finding(model: ModelName, before: BenchmarkResult, after: BenchmarkResult) -> ReportFinding:
    where = f"{model}, {after.task}"
    if before.ids != after.ids:
        return differs(f"{where}: other problems or prompts than the report's ({before.n} then, {after.n} now)")
    moved = sum(one != other for one, other in zip(before.correct, after.correct, strict=True))
    text = f"{where}: {before.accuracy:.1%} then, {after.accuracy:.1%} now"
    if not moved:
        return holds(f"{text}, problem by problem the same")
    error = math.hypot(before.stderr, after.stderr)
    text += f", {moved} of {after.n} problems score otherwise; two standard errors are {ERRORS * error:.1%}"
    return holds(text) if abs(after.accuracy - before.accuracy) <= ERRORS * error else differs(text)

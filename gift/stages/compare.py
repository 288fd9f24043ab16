"""Stage: all evaluations and trainings of an experiment → comparison.json, comparison.html and comparison.md."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from gift.evaluation.answers import ANSWERS_FILE, Answer, read_answers
from gift.evaluation.results import BenchmarkResult
from gift.execution.stage import Stage
from gift.fingerprint.provenance import provenance
from gift.report.comparison.assemble import Findings, assemble
from gift.report.comparison.html import render_comparison
from gift.report.comparison.plan import ExperimentPlan
from gift.report.comparison.schema import Comparison, save_comparison
from gift.report.comparison.table import markdown_page
from gift.report.comparison.wording import headline
from gift.report.files import parse_document
from gift.stages.evaluate import read_results
from gift.tracking import stage_records

COMPARISON_FOLDER = "comparison"
"""Name under `<storage>/runs/<run id>/`."""


def compare(stage: Stage, plan: str, evaluations: dict[str, str], learning_rates: dict[str, str]) -> str:
    """Write the comparison, also as MLflow artifacts.

    Args:
        plan: a `ExperimentPlan` as JSON.
        evaluations: trial (see `gift.report.comparison.plan.trial_label`) → URI of its evaluation.
        learning_rates: variant → the rate that was used with all seeds.

    Returns:
        URI of a folder with the three files.
    """
    planned = parse_document(ExperimentPlan, plan, where="the experiment")
    read = {trial: _read(stage, uri, planned.benchmark) for trial, uri in evaluations.items()}
    comparison = assemble(
        planned,
        Findings(
            evaluations={trial: results for trial, (results, _) in read.items()},
            answers={trial: answers for trial, (_, answers) in read.items()},
            learning_rates={variant: float(rate) for variant, rate in learning_rates.items()},
            records=stage_records(stage.parent_run_id),
        ),
        run_id=stage.run_id,
        finished=datetime.now(UTC),
        provenance=provenance(),
        config=stage.config.model_dump(mode="json"),
    )
    print(f"  {headline(comparison)}", flush=True)

    def make(folder: Path) -> dict[str, str]:
        _write(comparison, folder)
        return {}

    uri = stage.make_for_run(COMPARISON_FOLDER, list(evaluations.values()), make)
    stage.log_files(uri)
    return uri


def _write(comparison: Comparison, folder: Path) -> None:
    save_comparison(comparison, folder / "comparison.json")
    (folder / "comparison.html").write_text(render_comparison(comparison), encoding="utf-8")
    (folder / "comparison.md").write_text(markdown_page(comparison), encoding="utf-8")


def _read(stage: Stage, uri: str, benchmark: str) -> tuple[Mapping[str, BenchmarkResult], list[Answer]]:
    """All results, and the answers to one benchmark."""
    with stage.fetched(uri, wanted=(ANSWERS_FILE,)) as (folder,):
        answers = read_answers(folder / ANSWERS_FILE, origin=f"{uri}/{ANSWERS_FILE}")
        return read_results(stage, uri), [answer for answer in answers if answer.benchmark == benchmark]

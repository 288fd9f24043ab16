"""What a report's run left in the store: its evaluations, with the answers they come from, and its own report."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gift.errors import GiftError
from gift.evaluation.answers import ANSWERS_FILE, Answer, by_problem, read_answers
from gift.evaluation.results import RESULTS_FILE, BenchmarkResult, load_results
from gift.execution.output import complete_manifest
from gift.execution.stage import downloaded
from gift.report.schema import REPORT_FOLDER, Artifact, ModelName, Report, load_report

MODEL_STAGES: Mapping[ModelName, str] = {
    "base": "prepare-model",
    "sft": "convert-sft",
    "candidate": "convert-candidate",
}
"""Model → the stage whose output it is."""


@dataclass(frozen=True)
class StoredEvaluation:
    """Of one model."""

    uri: str
    results: Mapping[str, BenchmarkResult]
    answers: Mapping[str, Mapping[str, Sequence[Answer]]]
    """Benchmark → problem → its answers."""


def artifact_of(report: Report, stage: str) -> Artifact:
    """Raises: GiftError: the report names no output of the stage."""
    found = report.artifacts.get(stage)
    if found is None:
        raise GiftError(f"the report names no output of {stage}; it is of a run that had none, or of an older version")
    return found


def stored_evaluation(report: Report, model: ModelName) -> StoredEvaluation:
    """Raises: GiftError: it is not named, not there, damaged, of an older version; or S3 failed."""
    artifact = artifact_of(report, f"evaluate-{model}")
    with fetched(artifact) as folder:
        results = load_results(folder / RESULTS_FILE, origin=f"{artifact.uri}/{RESULTS_FILE}")
        answers = read_answers(folder / ANSWERS_FILE, origin=f"{artifact.uri}/{ANSWERS_FILE}")
    return StoredEvaluation(artifact.uri, results, by_problem(answers))


def own_report(report: Report, storage: str) -> Report:
    """The report that the run of that name stored itself.

    Raises:
        GiftError: it is not there, damaged, or of another version; or S3 failed.
    """
    with downloaded(f"{storage}/runs/{report.run_id}/{REPORT_FOLDER}", wanted=("report.json",)) as folder:
        return load_report(folder / "report.json")


@contextmanager
def fetched(artifact: Artifact) -> Iterator[Path]:
    """A verified copy of what the report names, and of nothing else that may lie there by now.

    Raises:
        GiftError: it is not there, or has another content; or S3 failed.
    """
    if complete_manifest(artifact.uri).digest() != artifact.digest:
        raise GiftError(f"{artifact.uri} is not what the report was made of: its content has another digest")
    with downloaded(artifact.uri) as folder:
        yield folder

"""Stage: everything the run left behind → report.json, report.html and a model card, in the store and as MLflow
artifacts; the card with the checkpoint as well, and the headline on the pages of the run and of the model version.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from gift import registry
from gift.data.splits import SPLITS
from gift.errors import GiftError
from gift.evaluation.answers import ANSWERS_FILE, by_problem, read_answers
from gift.evaluation.results import BenchmarkResult
from gift.execution.output import complete_manifest
from gift.execution.stage import Stage
from gift.fingerprint.provenance import provenance
from gift.gate.paired import INTERVAL_CONFIDENCE, PairedDifference, paired_difference
from gift.gate.verdict import Verdict
from gift.report.answer_changes import Answers, changed_answers
from gift.report.card import CARD_FILE, CHECKPOINT_CARD_FILE, card_summary, model_card
from gift.report.cost import stage_costs
from gift.report.critical_path import critical_path
from gift.report.headline import headline_figures
from gift.report.html import render_report
from gift.report.schema import (
    REPORT_FOLDER,
    AccuracyDifference,
    Artifact,
    BenchmarkOverlap,
    DataSet,
    ModelName,
    RegisteredVersion,
    Report,
    ReportedVerdict,
    Sample,
    Score,
    save_report,
)
from gift.stages.evaluate import read_results
from gift.stages.evaluate_champion import read_champion
from gift.stages.gate import read_verdict
from gift.storage import Manifest, put_companion, read_manifest
from gift.tracking import StageRecord, StageRun, parent_started, stage_records

Results = Mapping[ModelName, Mapping[str, BenchmarkResult]]


def report(
    stage: Stage,
    data: str,
    base_results: str,
    sft_results: str,
    candidate_results: str,
    champion: str,
    verdict: str,
    model: str,
    version: str,
) -> str:
    """Returns: URI of a folder with report.json, report.html and MODEL_CARD.md."""
    uris: dict[ModelName, str] = {"base": base_results, "sft": sft_results, "candidate": candidate_results}
    if reigning := read_champion(stage, champion).evaluation:
        uris["champion"] = reigning
    results = {name: read_results(stage, uri) for name, uri in uris.items()}
    changed, changes = changed_answers(_read_answers(stage, sft_results), _read_answers(stage, candidate_results))
    decided = read_verdict(stage, verdict)
    standing = stage.patiently(lambda: registry.standing(stage.config.registered_model, version))
    records = stage.patiently(lambda: stage_records(stage.parent_run_id))
    registered = stage.patiently(lambda: complete_manifest(model))
    started = stage.patiently(lambda: parent_started(stage.parent_run_id))
    finished = datetime.now(UTC)
    seconds = {name: record.seconds for name, record in records.items()}
    built = Report(
        run_id=stage.run_id,
        profile=stage.config.description,
        finished=finished,
        models={name: {task: _score(result) for task, result in tasks.items()} for name, tasks in results.items()},
        verdict=_verdict(decided, standing, results),
        registry=RegisteredVersion(
            model=stage.config.registered_model,
            version=version,
            alias=standing.alias,
            source=registered.folder(model),
        ),
        seconds=seconds,
        reused=tuple(name for name, record in records.items() if record.reused),
        cost=stage_costs(stage.config, seconds),
        critical_path=critical_path(started, records, finished.timestamp()),
        curves={name: record.curves for name, record in records.items() if name.startswith("train-")},
        samples=_samples(results),
        answer_changes=changes,
        answered_twice=changed,
        data=stage.patiently(lambda: _data_sets(data)),
        contamination=stage.patiently(lambda: _contamination(data)),
        artifacts=_artifacts(records),
        provenance=provenance(),
        config=stage.config.model_dump(mode="json"),
    )

    card = model_card(built)

    def make(folder: Path) -> dict[str, str]:
        save_report(built, folder / "report.json")
        (folder / "report.html").write_text(render_report(built), encoding="utf-8")
        (folder / CARD_FILE).write_text(card, encoding="utf-8")
        return {}

    uri = stage.make_for_run(REPORT_FOLDER, [*uris.values(), verdict], make)
    card_uri = stage.patiently(lambda: put_companion(model, CHECKPOINT_CARD_FILE, card.encode()))
    _describe(stage, built, f"Model card: `{card_uri}`. Report: `{uri}`.")
    stage.log_files(uri)
    StageRun(stage.parent_run_id, stage.patiently).log_metrics(headline_figures(built))
    print(f"  wrote {uri}", flush=True)
    return uri


def _describe(stage: Stage, built: Report, addresses: str) -> None:
    """Tell who opens the version on MLflow's page what it can do; where that is too long, only where it is written."""
    text = f"{card_summary(built)}\n{addresses}"
    description = text if len(text) <= registry.LONGEST_DESCRIPTION else addresses
    version = built.registry
    stage.patiently(lambda: registry.describe_version(version.model, version.version, description))


def _read_answers(stage: Stage, uri: str) -> Answers:
    with stage.fetched(uri, wanted=(ANSWERS_FILE,)) as (folder,):
        return by_problem(read_answers(folder / ANSWERS_FILE, origin=f"{uri}/{ANSWERS_FILE}"))


def _score(result: BenchmarkResult) -> Score:
    return Score(
        accuracy=result.accuracy,
        stderr=result.stderr,
        n=result.n,
        metrics=result.secondary,
        settings=result.settings.model_dump(mode="json"),
    )


def _verdict(verdict: Verdict, standing: registry.Standing, results: Results) -> ReportedVerdict:
    """The gate's comparisons first, then candidate and SFT model on the other benchmarks.

    The gate decides, but the registry says whether the version is champion.
    """
    promoted = verdict.decision == "promote" and standing.alias == registry.CHAMPION
    reasons = [verdict.sentence, *verdict.reasons]
    if verdict.decision == "promote" and not promoted:
        why = standing.tags.get(
            registry.NOT_PROMOTED_TAG, "somebody has moved the alias champion on since the registration"
        )
        reasons.append(f"The gate was for a promotion, but the candidate is not champion: {why}.")
    comparisons = [
        _comparison(other, said.benchmark, difference)
        for said in verdict.benchmarks
        for other, difference in said.comparisons.items()
    ]
    gated = {said.benchmark for said in verdict.benchmarks}
    for task, result in results["candidate"].items():
        if task not in gated:
            comparisons.append(_comparison("sft", task, paired_difference(result, results["sft"][task])))
    return ReportedVerdict(
        promoted=promoted,
        decision=verdict.decision,
        reasons=tuple(reasons),
        champion=verdict.champion.version if verdict.champion else None,
        comparisons=tuple(comparisons),
    )


def _comparison(other: str, benchmark: str, difference: PairedDifference) -> AccuracyDifference:
    return AccuracyDifference(
        name=f"candidate - {other}",
        benchmark=benchmark,
        difference=difference.mean,
        stderr=difference.stderr,
        n=difference.n,
        confidence_low=difference.low,
        confidence_high=difference.high,
        confidence=INTERVAL_CONFIDENCE,
    )


def _samples(results: Results) -> tuple[Sample, ...]:
    """The problems of the gate's first benchmark that every model's evaluation kept, side by side."""
    task = next(iter(results["candidate"]))
    kept = {name: {sample.id: sample for sample in tasks[task].samples} for name, tasks in results.items()}
    return tuple(
        Sample(
            question=sample.question,
            final_answer=sample.final_answer,
            completions={name: samples[sample.id].completion.strip() for name, samples in kept.items()},
            correct={name: samples[sample.id].correct == 1.0 for name, samples in kept.items()},
        )
        for sample in kept["candidate"].values()
        if all(sample.id in samples for samples in kept.values())
    )


def _data_sets(uri: str) -> dict[str, DataSet]:
    manifest = _data_manifest(uri)
    files = {file.path: file.sha256 for file in manifest.files}
    return {
        name: DataSet(
            uri=f"{manifest.folder(uri)}/{name}.jsonl",
            digest=files[f"{name}.jsonl"],
            rows=int(manifest.metadata[f"rows.{name}"]),
        )
        for name in SPLITS
    }


def _contamination(uri: str) -> dict[str, BenchmarkOverlap]:
    counts: dict[str, dict[str, int]] = {}
    for name, value in _data_manifest(uri).metadata.items():
        kind, _, rest = name.partition(".")
        if kind == "contamination":
            benchmark, _, count = rest.partition(".")
            counts.setdefault(benchmark, {})[count] = int(value)
    return {benchmark: BenchmarkOverlap(**found) for benchmark, found in counts.items()}


def _data_manifest(uri: str) -> Manifest:
    manifest = read_manifest(uri)
    if manifest is None:
        raise GiftError(f"{uri} is not complete any more; run the pipeline again to make the data anew")
    return manifest


def _artifacts(records: Mapping[str, StageRecord]) -> dict[str, Artifact]:
    return {
        name: Artifact(uri=record.output, digest=record.output_digest)
        for name, record in records.items()
        if record.output and record.output_digest  # a champion's evaluation may have been begun and given up
    }

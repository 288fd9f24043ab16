"""A report held against the manifests of what its run left in the store, and against the report that the run itself
stored there; needs no download but of that.

Left out: files that a manifest names (evaluations are read where numbers are computed from them), and what MLflow says.
"""

from collections.abc import Iterator
from typing import get_args

from gift.config import RunConfig, flatten
from gift.data.splits import SPLITS
from gift.errors import GiftError
from gift.execution.output import complete_manifest, content_digest
from gift.report.schema import Artifact, ModelName, Report
from gift.verification.finding import ReportFinding, differs, holds, unknown
from gift.verification.sections import some_of, unequal
from gift.verification.stored import MODEL_STAGES, artifact_of, own_report

EVALUATIONS = frozenset(f"evaluate-{model}" for model in get_args(ModelName))


def held_against_manifests(report: Report, config: RunConfig) -> Iterator[ReportFinding]:
    """One finding for each output but the evaluations, one for the data, and one for the registered model."""
    yield from (_output(stage, one) for stage, one in report.artifacts.items() if stage not in EVALUATIONS)
    yield _data(report)
    yield _registration(report, config)


def held_against_its_run(report: Report, config: RunConfig) -> ReportFinding:
    """Whether it is the one that the run stored; times, curves and the like are held against nothing else."""
    try:
        own = own_report(report, config.storage.uri)
    except GiftError as fault:
        return unknown(f"report: not held against the one that the run {report.run_id} stored: {fault}")
    told, found = (flatten(one.model_dump(mode="json")) for one in (report, own))
    faults = unequal(told, found, "the report", "in the one that the run stored", tolerance=0)
    return (
        differs(f"report: {some_of(faults)}") if faults else holds(f"report: the one that the run {own.run_id} stored")
    )


def _output(stage: str, artifact: Artifact) -> ReportFinding:
    try:
        same = content_digest(artifact.uri) == artifact.digest
    except GiftError as fault:
        return differs(f"{stage}: {fault}")
    return holds(f"{stage}: {artifact.uri}") if same else differs(f"{stage}: {artifact.uri} has another content by now")


def _data(report: Report) -> ReportFinding:
    try:
        uri = artifact_of(report, "prepare-data").uri
        manifest = complete_manifest(uri)
    except GiftError as fault:
        return unknown(f"data: not held against their manifest: {fault}")
    told: dict[str, object] = {
        f"contamination.{problems}.{name}": str(count)
        for problems, overlap in report.contamination.items()
        for name, count in overlap.model_dump().items()
    }
    for name, data in report.data.items():
        told |= {f"rows.{name}": str(data.rows), f"uri.{name}": data.uri, f"digest.{name}": data.digest}
    digests = {file.path: file.sha256 for file in manifest.files}
    found: dict[str, object] = {
        name: count for name, count in manifest.metadata.items() if name.startswith("contamination.")
    }
    for name in SPLITS:
        found |= {
            f"rows.{name}": manifest.metadata.get(f"rows.{name}"),
            f"uri.{name}": f"{manifest.folder(uri)}/{name}.jsonl",
            f"digest.{name}": digests.get(f"{name}.jsonl"),
        }
    faults = unequal(told, found, "the report", "by the manifest")
    if faults:
        return differs(f"data: {some_of(faults)}")
    return holds(f"data: {', '.join(f'{data.rows:,} {name}' for name, data in report.data.items())}")


def _registration(report: Report, config: RunConfig) -> ReportFinding:
    """Which version it is, and its alias, the registry alone knows."""
    try:
        uri = artifact_of(report, MODEL_STAGES["candidate"]).uri
        source = complete_manifest(uri).folder(uri)
    except GiftError as fault:
        return unknown(f"registry: not held against the candidate: {fault}")
    told = {"model": report.registry.model, "source": report.registry.source}
    found = {"model": config.registered_model, "source": source}
    faults = unequal(told, found, "the report", "by the configuration and the candidate's manifest")
    return differs(f"registry: {some_of(faults)}") if faults else holds(f"registry: {source}")

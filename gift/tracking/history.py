"""All pipeline runs that MLflow knows, of whatever experiment, and the directories that their stages named.

Left out: what became of them; `records` reads that of one run.
"""

from collections import defaultdict
from dataclasses import dataclass

from gift.tracking.client import MlflowClient
from gift.tracking.entities import Run
from gift.tracking.entries import PIPELINE_TAG, RUN_ID_TAG, STAGE_TAG
from gift.tracking.faults import explain_errors
from gift.tracking.records import OUTPUT_TAG

UNDER_WAY = ("RUNNING", "SCHEDULED")


@dataclass(frozen=True)
class PipelineRun:
    """One run of a pipeline, with all attempts at it."""

    run_id: str
    storage: str
    """`storage.uri` of its configuration; empty where that was never logged."""
    under_way: bool
    """It, or one of its stages, is still open: KFP's «Retry» opens stages of a run that was closed."""
    last_active: float
    """Seconds since 1970: when it, or a stage, last started or ended."""
    mlflow_runs: frozenset[str]
    """Its own and those of its stages."""
    outputs: frozenset[str]
    """URIs that its stages found, made or were about to make."""


def pipeline_runs() -> list[PipelineRun]:
    """Those that nobody has deleted.

    Raises:
        GiftError: MLflow is not reachable, or refuses.
    """
    with explain_errors("reading which runs there are"):
        client = MlflowClient()
        parents: list[Run] = []
        stages: dict[str, list[Run]] = defaultdict(list)
        for experiment_id in client.search_experiments():
            parents += client.search_runs(experiment_id, f"tags.`{RUN_ID_TAG}` LIKE '%'")
            for stage in client.search_runs(experiment_id, f"tags.`{STAGE_TAG}` LIKE '%'"):
                stages[stage.tags.get(PIPELINE_TAG, "")].append(stage)
    return [_with_stages(parent, stages[parent.run_id]) for parent in parents]


def _with_stages(parent: Run, stages: list[Run]) -> PipelineRun:
    runs = [parent, *stages]
    return PipelineRun(
        run_id=parent.tags[RUN_ID_TAG],
        storage=parent.params.get("storage.uri", ""),
        under_way=any(run.status in UNDER_WAY for run in runs),
        last_active=max(max(run.start_time, run.end_time or 0) for run in runs) / 1000,
        mlflow_runs=frozenset(run.run_id for run in runs),
        outputs=frozenset(stage.tags[OUTPUT_TAG] for stage in stages if OUTPUT_TAG in stage.tags),
    )

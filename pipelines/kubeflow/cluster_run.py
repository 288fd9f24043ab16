"""Runs the pipeline on a cluster: compile, submit, follow to the end, fetch the report.

The run belongs to the cluster from the moment it is submitted. Whoever follows it may stop, lose the network or the
token, and follow it again by its id, which is also the run's id in MLflow and in S3.

Left out: pods and their logs, which the page of the run shows and `kubectl logs` prints.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import kfp_server_api
import yaml

from gift.config import RunConfig, parse_config
from gift.errors import GiftError
from gift.progress import BANNER
from gift.storage import download_into
from pipelines.kubeflow.compile import compile_pipeline
from pipelines.kubeflow.kfp_api import KfpApi, NotFoundError

POLL_SECONDS = 5.0
FOLLOW_PAUSES: tuple[float, ...] = (1, 2, 5, 10, *(30,) * 20)
"""Ten minutes: an API server that is upgraded is away for some of them, and the run does not need it."""
ENDED = ("SUCCEEDED", "SKIPPED", "FAILED", "CANCELED")


@dataclass(frozen=True)
class ClusterRun:
    """What is known of a run from KFP alone."""

    run_id: str
    config: RunConfig
    stages: Mapping[str, str]
    """Names of stages by the names of their tasks."""


def submit(api: KfpApi, config: RunConfig, name: str, image: str, experiment: str) -> str:
    """The id of a new run, which KFP's pages show as `name`.

    Raises:
        GiftError: the pipeline can't be compiled, or KFP does not answer or refuses it.
    """
    pipeline, kubernetes = yaml.safe_load_all(compile_pipeline(config, image))
    experiment_id = api.make_experiment(experiment)
    made = api.once(
        api.runs.run_service_create_run,
        kfp_server_api.V2beta1Run(
            display_name=name,
            description=config.description,
            experiment_id=experiment_id,
            pipeline_spec={"pipeline_spec": pipeline, "platform_spec": kubernetes},
            service_account=config.cluster.service_account,
        ),
        done=lambda: next(
            iter(api.named(api.runs.run_service_list_runs, "runs", name, experiment_id=experiment_id)), None
        ),
    )
    return str(made.run_id)


def follow(api: KfpApi, run_id: str, say: Callable[[str], None]) -> ClusterRun:
    """Tell every change of a stage's state, until the run ends well.

    Raises:
        GiftError: a stage failed, the run was terminated, or KFP has been away for ten minutes.
    """
    patient = replace(api, pauses=FOLLOW_PAUSES)
    followed: ClusterRun | None = None
    terminated = False
    shown: dict[str, str] = {}
    while True:
        try:
            run = patient.repeat(api.runs.run_service_get_run, run_id)
        except NotFoundError:
            raise
        except GiftError as error:
            raise GiftError(f"{error}; the run goes on, `gift cluster follow {run_id}` follows it again") from None
        followed = followed or _read(patient, run)
        for line in _news(run, followed.stages, shown):
            say(line)
        terminated = terminated or run.state in ("CANCELING", "CANCELED")
        if run.state in ENDED:
            _check_outcome(api, run, shown, terminated)
            return followed
        time.sleep(POLL_SECONDS)


def terminate(api: KfpApi, run_id: str) -> None:
    """End a run and its pods.

    Raises:
        GiftError: there is no such run, it has ended, or KFP does not answer.
    """
    try:
        api.repeat(api.runs.run_service_terminate_run, run_id)
    except NotFoundError:
        raise
    except GiftError:
        run = api.repeat(api.runs.run_service_get_run, run_id)
        if run.state in ENDED:
            raise GiftError(f"run {run_id} has ended already: {run.state}") from None
        if run.state != "CANCELING":  # else an earlier request was heard, and its answer lost
            raise


def fetch_report(run: ClusterRun, runs: Path) -> Path | None:
    """The folder with the report of a finished run; None where the environment has no credentials for S3."""
    if "AWS_ACCESS_KEY_ID" not in os.environ:
        return None
    folder = runs / run.run_id
    folder.mkdir(parents=True, exist_ok=True)
    download_into(report_uri(run), folder)
    return folder


def report_uri(run: ClusterRun) -> str:
    """Where the run's report is."""
    return f"{run.config.storage.uri}/runs/{run.run_id}/report"


def _read(api: KfpApi, run: Any) -> ClusterRun:
    spec = run.pipeline_spec
    reference = run.pipeline_version_reference
    if spec is None and reference is not None:
        version = api.repeat(
            api.pipelines.pipeline_service_get_pipeline_version, reference.pipeline_id, reference.pipeline_version_id
        )
        spec = version.pipeline_spec
    pipeline = (spec or {}).get("pipeline_spec", spec) or {}
    parameters = pipeline.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    config = parameters.get("config", {}).get("defaultValue")
    if config is None:
        raise GiftError(f"run {run.run_id} is not one of `gift run` or of a schedule")
    return ClusterRun(run.run_id, parse_config(config, where=f"run {run.run_id}"), _stages(pipeline))


def _stages(pipeline: Mapping[str, Any]) -> dict[str, str]:
    """Names of the tasks that run a container, and what they show as."""
    components = pipeline["components"]
    dags = [part["dag"] for part in (pipeline["root"], *components.values()) if "dag" in part]
    return {
        key: task["taskInfo"]["name"]
        for dag in dags
        for key, task in dag["tasks"].items()
        if "executorLabel" in components[task["componentRef"]["name"]]
    }


def _news(run: Any, stages: Mapping[str, str], shown: dict[str, str]) -> Iterator[str]:
    """The lines for what changed since `shown`, which is brought up to date."""
    details = (run.run_details and run.run_details.task_details) or []
    for task in details:
        stage = stages.get(task.display_name)
        if stage is None or task.state not in ("RUNNING", *ENDED) or shown.get(stage) == task.state:
            continue
        if stage not in shown:
            yield f"{BANNER}{stage}"
        shown[stage] = task.state
        if task.state in ENDED:
            yield f"  {stage} {task.state.lower()}{_duration(task)}"


def _duration(task: Any) -> str:
    if task.start_time is None or task.end_time is None or task.end_time < task.start_time:
        return ""
    minutes, seconds = divmod(round((task.end_time - task.start_time).total_seconds()), 60)
    return f" after {minutes}:{seconds:02d}"


def _check_outcome(api: KfpApi, run: Any, states: Mapping[str, str], terminated: bool) -> None:
    if terminated:  # which KFP reports as FAILED in the end
        raise GiftError(f"run {run.run_id} was terminated")
    if run.state == "FAILED":
        failed = [stage for stage, state in states.items() if state == "FAILED"]
        what = f"stage {failed[0]} failed" if failed else "the run failed outside of its stages"
        why = f" ({run.error.message})" if run.error and run.error.message else ""
        raise GiftError(f"{what}{why}; its logs are on {api.page_of_run(run.run_id)}")

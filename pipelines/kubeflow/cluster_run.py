"""A run on a cluster: compile and submit it, end it, fetch its report.

The run belongs to the cluster from the moment it is submitted. Its id is also that in MLflow and in S3.

Left out: following it (`follow`).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api
import yaml

from gift.config import RunConfig, parse_config
from gift.errors import GiftError
from gift.storage import download_into
from pipelines.kubeflow.compile import compile_pipeline
from pipelines.kubeflow.kfp_api import KfpApi
from pipelines.kubeflow.kfp_faults import NotFoundError

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


def read_cluster_run(api: KfpApi, run: Any) -> ClusterRun:
    """What is known of a run, from KFP's answer about it.

    Raises:
        GiftError: it is none of ours, or KFP does not answer.
    """
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
    try:
        parsed = parse_config(config, where=f"run {run.run_id}")
    except GiftError as error:
        raise GiftError(
            f"{error}; if another version of this project has submitted the run, follow it with that one"
        ) from None
    return ClusterRun(run.run_id, parsed, _stages(pipeline))


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

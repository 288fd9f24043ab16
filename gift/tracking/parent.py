"""The MLflow run of a whole pipeline run: its configuration, its state, and the stage that failed.

Left out on purpose: results. The report stage logs those: the headline here, all else to its own nested run.
"""

from typing import Literal

from gift.config import RunConfig, flatten
from gift.errors import GiftError
from gift.fingerprint.provenance import git_sha
from gift.tracking.artifacts import log_artifact
from gift.tracking.client import MlflowClient
from gift.tracking.entities import Run
from gift.tracking.entries import RUN_ID_TAG, find_run, log_params, stage_runs
from gift.tracking.faults import allow_existing, explain_errors
from gift.tracking.platform import is_kfps, is_named, kfp_run, platform_run

NOTE_TAG = "mlflow.note.content"
COMMIT_TAG = "mlflow.source.git.commit"
CONFIG_DIGEST_TAG = "gift.config_digest"
STATE_TAG = "gift.state"
"""RUNNING, FINISHED or FAILED: how our own stages closed it, whoever ends the run in MLflow."""
FAILED_STAGE_TAG = "gift.failed_stage"
KILLED_TAG = "gift.killed"
"""Why a run has no end of its own."""


def start_parent_run(config: RunConfig, run_id: str) -> str:
    """Find or create the MLflow run of the pipeline run `run_id`, with its configuration as a file; returns its id.

    Raises:
        GiftError: as `open_parent_run`; or where MLflow keeps files does not answer.
    """
    parent_run_id = open_parent_run(config, run_id)
    with explain_errors(f"starting the run {run_id}"):
        client = MlflowClient()
        content = config.model_dump_json(indent=2).encode()
        log_artifact(client, client.get_run(parent_run_id), "config.json", content)
    return parent_run_id


def open_parent_run(config: RunConfig, run_id: str) -> str:
    """Find or create the MLflow run of the pipeline run `run_id`, log the configuration to it, and return its id.

    That is the run that KFP has opened for `run_id`, if any. Else a run that already carries `run_id` is reopened; else
    the one that the platform named in MLFLOW_RUN_ID is used; else a new one is made in `config.experiment`.

    Raises:
        GiftError: MLflow is not reachable, MLFLOW_RUN_ID or the experiment is not usable, or `run_id` was started with
            another configuration.
    """
    with explain_errors(f"starting the run {run_id}"):
        client = MlflowClient()
        kfps = kfp_run(client, run_id)
        run = kfps or _own_run(client, config, run_id)
        log_params(client, run, _decided(config))
        tags = {
            RUN_ID_TAG: run_id,
            STATE_TAG: "RUNNING",
            CONFIG_DIGEST_TAG: config.digest(),
            NOTE_TAG: config.description,
            COMMIT_TAG: git_sha(),
        }
        client.set_tags(run.run_id, tags)
        if kfps is None:
            client.update_run(run.run_id, status="RUNNING")
    return run.run_id


def parent_has_finished(config: RunConfig, run_id: str) -> bool:
    """Whether the MLflow run of the pipeline run `run_id` is there, and its last stage closed it as FINISHED.

    Raises:
        GiftError: MLflow is not reachable.
    """
    with explain_errors(f"looking up the run {run_id}"):
        client = MlflowClient()
        run = kfp_run(client, run_id)
        if run is None and (experiment := client.get_experiment_by_name(config.experiment)):
            run = find_run(client, experiment.experiment_id, {RUN_ID_TAG: run_id})
        return run is not None and run.tags.get(STATE_TAG) == "FINISHED"


def finish_parent_run(parent_run_id: str, status: Literal["FINISHED", "FAILED"], failed_stage: str | None) -> None:
    """Close the parent run; stages that a killed process left open are marked KILLED. KFP ends a parent of its own.

    Raises:
        GiftError: MLflow is not reachable.
    """
    with explain_errors("closing the run"):
        client = MlflowClient()
        parent = client.get_run(parent_run_id)
        if failed_stage is not None:
            client.set_tags(parent_run_id, {FAILED_STAGE_TAG: failed_stage})
        elif FAILED_STAGE_TAG in parent.tags:  # from an earlier attempt
            client.delete_tag(parent_run_id, FAILED_STAGE_TAG)
        for run in stage_runs(client, parent):
            # KFP ends this task's run, but none that is left open below a DAG, which it has ended long ago.
            if run.status == "RUNNING" and not is_named(run.run_id):
                client.set_terminated(run.run_id, "KILLED")
        if not is_kfps(parent):
            client.set_terminated(parent_run_id, status)
        client.set_tags(parent_run_id, {STATE_TAG: status})  # last: it says that all of this is done


def _decided(config: RunConfig) -> dict[str, object]:
    """What MLflow, which changes no parameter, may keep as one."""
    open_keys = {f"compute.{field}" for field in config.compute.undecided}
    return {key: value for key, value in flatten(config).items() if ".".join(key.split(".")[:2]) not in open_keys}


def _own_run(client: MlflowClient, config: RunConfig, run_id: str) -> Run:
    experiment_id = _experiment_id(client, config.experiment)
    return (
        find_run(client, experiment_id, {RUN_ID_TAG: run_id})
        or platform_run(client)
        or client.create_run(experiment_id, run_name=run_id, tags={RUN_ID_TAG: run_id})
    )


def close_killed_run(experiment: str, run_id: str, why: str) -> None:
    """Mark the run of a pipeline run that nothing works for any more, and its open stages, as KILLED.

    Nothing happens where MLflow has no such run, or has its end already.

    Raises:
        GiftError: MLflow is not reachable.
    """
    with explain_errors(f"closing the run {run_id}, which was killed"):
        client = MlflowClient()
        found = client.get_experiment_by_name(experiment)
        run = find_run(client, found.experiment_id, {RUN_ID_TAG: run_id}) if found else None
        if run is None or run.status != "RUNNING":
            return
        for open_run in (*(nested for nested in stage_runs(client, run) if nested.status == "RUNNING"), run):
            client.set_tags(open_run.run_id, {KILLED_TAG: why})
            client.set_terminated(open_run.run_id, "KILLED")


def _experiment_id(client: MlflowClient, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        with allow_existing():  # several runs may start at once
            client.create_experiment(name)
        experiment = client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage == "deleted":
        raise GiftError(f"the MLflow experiment {name!r} is deleted; restore it, or set another `experiment`")
    return experiment.experiment_id

"""KFP's MLflow plugin: runs and variables as KFP 2.17 makes them, against the real MLflow server of the session."""

import time
from typing import Any

import pytest
from kfp_plugin import KfpPlugin
from mlflow.tracking import MlflowClient
from test_tracking import a_config

from gift.config import RunConfig
from gift.tracking import finish_parent_run, parent_has_finished, stage_records, stage_run, start_parent_run
from pipelines.local.services import Services

CONFIG = a_config(experiment="never-made")


@pytest.fixture
def kfp(services: Services, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> KfpPlugin:
    return KfpPlugin(monkeypatch, services.environment["MLFLOW_TRACKING_URI"], f"{request.node.name}-{time.time_ns()}")


def train(parent: str, *, fail: bool = False) -> None:
    with stage_run(parent, "train-sft") as tracking:
        tracking.log_metrics({"loss": 0.5}, step=1)
        if fail:
            raise RuntimeError


def test_all_of_a_run_is_in_the_tree_that_kfp_makes(kfp: KfpPlugin) -> None:
    start = kfp.drive("start-run")
    parent = start_parent_run(CONFIG, kfp.run_id)
    task = kfp.launch("train-sft", lambda: train(parent))
    assert parent == kfp.root
    assert {run.info.run_id for run in kfp.all_runs()} == {kfp.root, kfp.dag, start, task}
    tags = kfp.client.get_run(task).data.tags
    assert (tags["mlflow.parentRunId"], tags["gift.stage"]) == (kfp.dag, "train-sft")
    assert kfp.client.get_run(task).data.metrics["loss"] == 0.5
    assert list(stage_records(parent)) == ["train-sft"]
    assert kfp.client.get_run(parent).data.params["registered_model"] == "tiny"
    assert kfp.client.get_experiment_by_name("never-made") is None


@pytest.mark.parametrize(("status", "failed_stage"), [("FINISHED", None), ("FAILED", "train-sft")])
def test_what_kfp_opened_is_left_for_it_to_end(kfp: KfpPlugin, status: Any, failed_stage: str | None) -> None:
    kfp.drive("start-run")
    parent = start_parent_run(CONFIG, kfp.run_id)
    last = kfp.drive("report")
    with stage_run(parent, "report"):
        pass
    assert not parent_has_finished(CONFIG, kfp.run_id)
    finish_parent_run(parent, status, failed_stage)
    assert {kfp.client.get_run(run).info.status for run in (parent, last)} == {"RUNNING"}
    assert parent_has_finished(CONFIG, kfp.run_id) == (status == "FINISHED")
    assert kfp.client.get_run(parent).data.tags.get("gift.failed_stage") == failed_stage


def test_a_stage_that_kfp_never_ends_as_its_pod_was_killed_is_ended_by_the_exit_handler(kfp: KfpPlugin) -> None:
    kfp.drive("start-run")
    parent = start_parent_run(CONFIG, kfp.run_id)
    killed = kfp.drive("train-sft")
    with stage_run(parent, "train-sft"):
        pass
    own = kfp.drive("finish-run", above=kfp.root)
    finish_parent_run(parent, "FAILED", "train-sft")
    assert [kfp.client.get_run(run).info.status for run in (killed, own, parent)] == ["KILLED", "RUNNING", "RUNNING"]


def test_a_pod_that_argo_starts_again_continues_the_run_of_its_task(kfp: KfpPlugin) -> None:
    kfp.drive("start-run")
    parent = start_parent_run(CONFIG, kfp.run_id)
    task = kfp.launch("train-sft", lambda: train(parent, fail=True))
    assert kfp.client.get_run(task).info.status == "FAILED"
    seen: list[str] = []

    def second() -> None:
        train(parent)
        seen.append(kfp.client.get_run(task).info.status)

    kfp.again(task, second)
    assert (seen, kfp.client.get_run(task).info.status) == (["RUNNING"], "FINISHED")


def test_a_task_that_kfps_retry_opens_anew_is_one_stage_with_its_first_attempt(kfp: KfpPlugin) -> None:
    kfp.drive("start-run")
    parent = start_parent_run(CONFIG, kfp.run_id)
    first = kfp.launch("train-sft", lambda: train(parent, fail=True))
    kfp.client.update_run(first, status="RUNNING")  # KFP reopens what failed, and lets the driver open another
    kfp.client.log_metric(first, "seconds", 40.0, timestamp=int(time.time() * 1000))
    kfp.drive("train-sft")
    with stage_run(parent, "train-sft") as tracking:
        tracking.log_metrics({"loss": 0.25}, step=2)
    record = stage_records(parent)["train-sft"]
    assert record.curves["loss"] == ((1, 0.5), (2, 0.25))
    assert record.seconds >= 40.0


def test_a_pipeline_within_a_task_of_kfp_has_stages_of_its_own(kfp: KfpPlugin) -> None:
    """The variables are then those of somebody else's task, and the same in all stages."""
    task = kfp.drive("somebody-elses-task")
    config = a_config(experiment=f"within-{kfp.run_id}")
    parent = start_parent_run(config, f"own-{kfp.run_id}")
    for stage in ("prepare-data", "train-sft"):
        with stage_run(parent, stage):
            pass
    finish_parent_run(parent, "FINISHED", None)
    assert list(stage_records(parent)) == ["prepare-data", "train-sft"]
    assert "gift.stage" not in kfp.client.get_run(task).data.tags
    assert kfp.client.get_run(parent).info.status == "FINISHED"


def test_without_injection_the_server_of_our_secret_is_used_and_nothing_of_kfps(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plugin then still gives its tasks the user and the password of KFP's server."""
    run_id, uri = f"own-{time.time_ns()}", services.environment["MLFLOW_TRACKING_URI"]
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("GIFT_MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("KFP_MLFLOW_CONFIG", '{"endpoint": "http://nobody:5000"}')
    config: RunConfig = a_config()
    parent = start_parent_run(config, run_id)
    with stage_run(parent, "train-sft") as tracking:
        pass
    finish_parent_run(parent, "FINISHED", None)
    client = MlflowClient(uri)
    assert {client.get_run(run).info.status for run in (parent, tracking.run_id)} == {"FINISHED"}
    assert client.get_run(tracking.run_id).data.tags["mlflow.parentRunId"] == parent
    assert parent_has_finished(config, run_id)

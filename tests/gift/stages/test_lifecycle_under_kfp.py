"""A whole run in the tree that KFP's MLflow plugin opens: from its first task to the exit handler."""

import time

import pytest
from kfp_plugin import KfpPlugin

from gift.config import load_profile
from gift.execution.stage import Stage, run_stage
from gift.stages import lifecycle
from gift.stages.lifecycle import finish_run, run_last_stage, start_run
from gift.webhook import RunEnd
from pipelines.local.services import Services

CONFIG = load_profile("local", ("experiment=not-kfps",)).model_dump_json()


@pytest.fixture
def kfp(services: Services, monkeypatch: pytest.MonkeyPatch) -> KfpPlugin:
    return KfpPlugin(monkeypatch, services.environment["MLFLOW_TRACKING_URI"], f"run-{time.time_ns()}")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[RunEnd]:
    ends: list[RunEnd] = []
    monkeypatch.setattr(lifecycle, "post_run_end", ends.append)
    return ends


def train_sft(stage: Stage) -> str:
    return "s3://gift/checkpoint"


def write(stage: Stage) -> str:
    return "s3://gift/report"


def run(kfp: KfpPlugin) -> dict[str, str]:
    """All tasks up to the last, which is left out; returns the arguments of a stage."""
    parents: list[str] = []
    kfp.launch("start-run", lambda: parents.append(start_run(CONFIG, kfp.run_id)))
    arguments = {"config": CONFIG, "run_id": kfp.run_id, "parent_run_id": parents[0]}
    kfp.launch("train-sft", lambda: run_stage(train_sft, **arguments))
    return arguments


def test_a_run_that_succeeds_is_told_once_and_ended_by_kfp(kfp: KfpPlugin, told: list[RunEnd]) -> None:
    arguments = run(kfp)
    kfp.launch("report", lambda: run_last_stage(write, **arguments))
    kfp.drive("finish-run", above=kfp.root)
    finish_run(CONFIG, kfp.run_id, "SUCCEEDED")
    assert [(end.state, end.mlflow_run) for end in told] == [("FINISHED", kfp.root)]
    assert kfp.client.get_run(kfp.root).info.status == "RUNNING"
    names = sorted(each.info.run_name for each in kfp.all_runs())
    assert names == ["exit-handler-1", "finish-run", "gift", "report", "start-run", "train-sft"]


def test_a_run_that_fails_names_its_stage(kfp: KfpPlugin, told: list[RunEnd]) -> None:
    def fail(stage: Stage) -> str:
        raise RuntimeError

    arguments = run(kfp)
    kfp.launch("evaluate", lambda: run_stage(fail, **arguments, label="base"))
    kfp.drive("finish-run", above=kfp.root)
    finish_run(CONFIG, kfp.run_id, "FAILED")
    assert [(end.state, end.failed_stage) for end in told] == [("FAILED", "fail-base")]
    assert kfp.client.get_run(kfp.root).data.tags["gift.failed_stage"] == "fail-base"

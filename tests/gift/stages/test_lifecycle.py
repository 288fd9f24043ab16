"""The first and the last task of a run, against the real MLflow server."""

import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from gift.config import load_profile
from gift.stages import lifecycle
from gift.stages.lifecycle import finish_run, start_run
from gift.tracking import stage_run
from gift.webhook import RunEnd
from pipelines.local.services import Services

CONFIG = load_profile("local").model_dump_json()


@pytest.fixture
def run_id(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name}-{time.time_ns()}"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[RunEnd]:
    """What the webhook is told (tests/gift/test_webhook.py tests the sending)."""
    ends: list[RunEnd] = []
    monkeypatch.setattr(lifecycle, "post_run_end", ends.append)
    return ends


def state_of(services: Services, mlflow_run: str) -> tuple[str, str | None]:
    run = MlflowClient(services.environment["MLFLOW_TRACKING_URI"]).get_run(mlflow_run)
    return run.info.status, run.data.tags.get("gift.failed_stage")


def test_a_run_that_succeeded_is_finished(services: Services, run_id: str, told: list[RunEnd]) -> None:
    mlflow_run = start_run(CONFIG, run_id)
    finish_run(CONFIG, run_id, "SUCCEEDED")
    assert state_of(services, mlflow_run) == ("FINISHED", None)
    assert told == [
        RunEnd(run_id=run_id, experiment="gift", state="FINISHED", failed_stage=None, mlflow_run=mlflow_run)
    ]


@pytest.mark.parametrize(
    ("word", "reported", "state"),
    [
        ("COMPLETE", True, "FINISHED"),  # KFP's backend, where kfp.local says SUCCEEDED
        ("CANCELED", True, "FAILED"),
        ("RUNNING", False, "FAILED"),  # KFP's backend, where a task was killed before it could say that it failed
        ("RUNNING", True, "FINISHED"),  # and where it could not write down that the last task was done
    ],
)
def test_kfps_words(services: Services, run_id: str, told: list[RunEnd], word: str, reported: bool, state: str) -> None:
    mlflow_run = start_run(CONFIG, run_id)
    for stage in ("gate", "report") if reported else ("gate",):
        with stage_run(mlflow_run, stage):
            pass
    finish_run(CONFIG, run_id, word)
    status, failed_stage = state_of(services, mlflow_run)
    assert (status, told[0].state) == (state, state)
    assert (failed_stage is None) == (state == "FINISHED")


def test_a_run_that_failed_names_its_stage(services: Services, run_id: str, told: list[RunEnd]) -> None:
    mlflow_run = start_run(CONFIG, run_id)
    with stage_run(mlflow_run, "prepare-data"):
        pass
    with pytest.raises(SystemExit), stage_run(mlflow_run, "train-sft"):
        raise SystemExit(1)
    finish_run(CONFIG, run_id, "FAILED")
    assert state_of(services, mlflow_run) == ("FAILED", "train-sft")
    assert told[0].failed_stage == "train-sft"


def test_a_stage_that_died_before_its_mlflow_run_is_known_by_the_last(
    services: Services, run_id: str, told: list[RunEnd]
) -> None:
    mlflow_run = start_run(CONFIG, run_id)
    with stage_run(mlflow_run, "prepare-data"):
        pass
    finish_run(CONFIG, run_id, "FAILED")
    assert state_of(services, mlflow_run) == ("FAILED", "after prepare-data")


def test_a_run_whose_first_task_failed_is_recorded_all_the_same(
    services: Services, run_id: str, told: list[RunEnd]
) -> None:
    finish_run(CONFIG, run_id, "FAILED")
    assert told[0].mlflow_run is not None
    assert state_of(services, told[0].mlflow_run) == ("FAILED", "before the first stage")


def test_what_a_run_on_several_nodes_left_in_kubernetes_is_asked_for_whatever_else_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run_id: str, told: list[RunEnd], capsys: pytest.CaptureFixture[str]
) -> None:
    """tests/gift/launch/test_train_job.py shows what is cancelled."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(SystemExit):
        finish_run(load_profile("local", ("compute.nodes=2",)).model_dump_json(), run_id, "FAILED")
    assert "can't reach Kubernetes" in capsys.readouterr().err
    assert len(told) == 1


def test_the_webhook_is_told_even_when_mlflow_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, run_id: str, told: list[RunEnd], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(SystemExit):
        finish_run(CONFIG, run_id, "SUCCEEDED")
    assert told == [RunEnd(run_id=run_id, experiment="gift", state="FINISHED", failed_stage=None, mlflow_run=None)]
    assert capsys.readouterr().err.startswith("error: MLFLOW_TRACKING_URI is not set")


def test_a_run_id_that_the_platform_left_open_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        start_run(CONFIG, "{{$.pipeline_job_uuid}}")
    assert "did not replace {{$.pipeline_job_uuid}} by the run's id" in capsys.readouterr().err

"""How a run is opened and closed, against the real MLflow server."""

import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from gift.config import load_profile
from gift.errors import GiftError
from gift.execution.stage import Stage
from gift.stages import lifecycle
from gift.stages.lifecycle import finish_run, run_last_stage, start_run
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


def times(services: Services, mlflow_run: str) -> tuple[int, int | None]:
    info = MlflowClient(services.environment["MLFLOW_TRACKING_URI"]).get_run(mlflow_run).info
    return info.start_time, info.end_time


def test_what_the_gate_can_show_is_printed_before_anything_is_trained(
    services: Services, run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    start_run(CONFIG, run_id)
    assert "  gate: heldout, 500 problems: a true difference of +5.2 points to another model" in capsys.readouterr().out


def test_a_run_that_succeeded_is_finished(services: Services, run_id: str, told: list[RunEnd]) -> None:
    mlflow_run = start_run(CONFIG, run_id)
    finish_run(CONFIG, run_id, "SUCCEEDED")
    assert state_of(services, mlflow_run) == ("FINISHED", None)
    assert told == [
        RunEnd(run_id=run_id, experiment="gift", state="FINISHED", failed_stage=None, mlflow_run=mlflow_run)
    ]


def last(stage: Stage) -> str:
    """Stands for `report`, which needs a whole run."""
    return f"made by {stage.name}"


@pytest.mark.parametrize(
    ("word", "closed", "state"),
    [
        ("COMPLETE", False, "FINISHED"),  # KFP's backend, where kfp.local says SUCCEEDED
        ("CANCELED", True, "FAILED"),
        ("RUNNING", False, "FAILED"),  # KFP's backend, where a task was killed before it could say that it failed
        ("RUNNING", True, "FINISHED"),  # and where it could not write down that the last task was done
        ("SUCCEEDED", True, "FINISHED"),
    ],
)
def test_kfps_words(services: Services, run_id: str, told: list[RunEnd], word: str, closed: bool, state: str) -> None:
    mlflow_run = start_run(CONFIG, run_id)
    with stage_run(mlflow_run, "gate"):
        pass
    if closed:
        run_last_stage(last, config=CONFIG, run_id=run_id, parent_run_id=mlflow_run)
    finish_run(CONFIG, run_id, word)
    status, failed_stage = state_of(services, mlflow_run)
    assert (status, told[-1].state) == (state, state)
    assert (failed_stage is None) == (state == "FINISHED")


def test_the_last_stage_closes_the_run_and_the_exit_handler_does_not_do_it_again(
    services: Services, run_id: str, told: list[RunEnd], capsys: pytest.CaptureFixture[str]
) -> None:
    mlflow_run = start_run(CONFIG, run_id)
    made = run_last_stage(last, config=CONFIG, run_id=run_id, parent_run_id=mlflow_run)
    assert made == "made by last"
    assert state_of(services, mlflow_run) == ("FINISHED", None)
    end = RunEnd(run_id=run_id, experiment="gift", state="FINISHED", failed_stage=None, mlflow_run=mlflow_run)
    assert told == [end]
    client = MlflowClient(services.environment["MLFLOW_TRACKING_URI"])
    experiment = client.get_run(mlflow_run).info.experiment_id
    (nested,) = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{mlflow_run}'")
    assert nested.info.status == "FINISHED", "not killed by closing its parent"
    before = times(services, mlflow_run)
    finish_run(CONFIG, run_id, "SUCCEEDED")
    assert (told, times(services, mlflow_run)) == ([end], before)
    assert "closed by its last stage" in capsys.readouterr().out


def test_kfps_retry_makes_a_failed_run_a_finished_one(services: Services, run_id: str, told: list[RunEnd]) -> None:
    """It starts what failed and what comes after, and no exit handler."""
    mlflow_run = start_run(CONFIG, run_id)
    with pytest.raises(SystemExit), stage_run(mlflow_run, "evaluate-sft"):
        raise SystemExit(1)
    finish_run(CONFIG, run_id, "FAILED")
    assert state_of(services, mlflow_run) == ("FAILED", "evaluate-sft")
    with stage_run(mlflow_run, "evaluate-sft"):
        pass
    run_last_stage(last, config=CONFIG, run_id=run_id, parent_run_id=mlflow_run)
    assert state_of(services, mlflow_run) == ("FINISHED", None)
    assert [end.state for end in told] == ["FAILED", "FINISHED"]


def test_a_last_stage_that_fails_closes_nothing(services: Services, run_id: str, told: list[RunEnd]) -> None:
    def fails(stage: Stage) -> str:
        raise GiftError(f"{stage.name} went wrong")

    mlflow_run = start_run(CONFIG, run_id)
    with pytest.raises(SystemExit):
        run_last_stage(fails, config=CONFIG, run_id=run_id, parent_run_id=mlflow_run)
    assert (state_of(services, mlflow_run), told) == (("RUNNING", None), [])
    finish_run(CONFIG, run_id, "FAILED")
    assert state_of(services, mlflow_run) == ("FAILED", "fails")


def test_a_last_stage_that_can_not_close_the_run_leaves_it_to_the_exit_handler(
    services: Services,
    run_id: str,
    told: list[RunEnd],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def loses_mlflow(_stage: Stage) -> str:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "no address")
        return "made"

    mlflow_run = start_run(CONFIG, run_id)
    assert run_last_stage(loses_mlflow, config=CONFIG, run_id=run_id, parent_run_id=mlflow_run) == "made"
    assert "warning: the run is not closed yet: MLFLOW_TRACKING_URI" in capsys.readouterr().out
    assert told == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", services.environment["MLFLOW_TRACKING_URI"])
    finish_run(CONFIG, run_id, "SUCCEEDED")
    assert (state_of(services, mlflow_run), len(told)) == (("FINISHED", None), 1)


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

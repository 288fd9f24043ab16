"""Parent and stage runs against the real MLflow server of the session."""

import json
import time
from pathlib import Path
from typing import Any

import mlflow.data
import psutil
import pytest
from mlflow.tracking import MlflowClient

from gift.config import RunConfig, parse_config
from gift.errors import GiftError
from gift.tracking import (
    StageRun,
    check_tracking,
    finish_parent_run,
    parent_started,
    stage_records,
    stage_run,
    start_parent_run,
)
from pipelines.local.services import Services
from pipelines.machine.processes import free_ports

HOST = "127.0.0.1"

pytestmark = pytest.mark.usefixtures("services")


def a_config(**changes: Any) -> RunConfig:
    optimizer = {"learning_rate": 1e-3}
    values = {
        "description": "a tiny run",
        "registered_model": "tiny",
        "model": {"source": "scratch"},
        "data": {"source": "arithmetic"},
        "sft": {"steps": 3, "batch_size": 4, "optimizer": optimizer},
        "rollout": {"max_prompt_tokens": 64, "max_new_tokens": 32},
        "rl": {"steps": 5, "prompts_per_step": 2, "optimizer": optimizer},
        "evaluation": {"benchmarks": [{"task": "heldout", "max_new_tokens": 32}]},
        "gate": {"benchmarks": [{"benchmark": "heldout", "at_least": 0.0}]},
    }
    return parse_config(values | changes)


@pytest.fixture
def run_id(request: pytest.FixtureRequest) -> str:
    """The name of a pipeline run that no other test uses."""
    return f"{request.node.name}-{time.time_ns()}"


@pytest.fixture
def parent_run_id(run_id: str) -> str:
    return start_parent_run(a_config(), run_id)


def fail_after(seconds: float) -> None:
    time.sleep(seconds)
    raise RuntimeError("out of memory")


@pytest.fixture
def dead_server(monkeypatch: pytest.MonkeyPatch) -> str:
    """MLFLOW_TRACKING_URI leads to a port on which nobody listens; returns its address."""
    (port,) = free_ports(HOST, 1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://somebody:a-password@{HOST}:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return f"{HOST}:{port}"


# --- is the server there? ------------------------------------------------------------------------------------------


def test_check_accepts_a_running_server() -> None:
    check_tracking()


def test_check_names_the_address_but_not_the_password(dead_server: str) -> None:
    with pytest.raises(GiftError, match=f"MLflow at {dead_server} does not answer .*gift up") as error:
        check_tracking()
    assert "a-password" not in str(error.value)


def test_check_refuses_a_server_that_is_not_mlflow(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{HOST}:{services.s3_port}")
    with pytest.raises(GiftError, match=f"{HOST}:{services.s3_port} is not a healthy MLflow server"):
        check_tracking()


@pytest.mark.parametrize(
    ("uri", "message"), [("", "is not set"), ("file:///tmp/mlruns", "must be the http"), ("mlflow:5000", "must be")]
)
def test_check_wants_an_http_address(uri: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(GiftError, match=message):
        check_tracking()


def test_a_run_cannot_start_without_the_server_and_says_so_without_the_password(dead_server: str) -> None:
    with pytest.raises(GiftError, match=f"{dead_server}.* while starting the run r1") as error:
        start_parent_run(a_config(), "r1")
    assert error.value.__suppress_context__  # a traceback would show MLflow's message, and with it the password
    assert "a-password" not in str(error.value)


# --- the parent run ------------------------------------------------------------------------------------------------


def test_parent_run_holds_the_configuration(run_id: str, tmp_path: Path) -> None:
    config = a_config()
    run = MlflowClient().get_run(start_parent_run(config, run_id))
    assert run.info.status == "RUNNING"
    assert run.data.params["rl.optimizer.learning_rate"] == "0.001"
    assert run.data.params["evaluation.benchmarks.0.task"] == "heldout"
    assert run.data.tags["gift.run_id"] == run_id
    assert run.data.tags["gift.config_digest"] == config.digest()
    assert run.data.tags["mlflow.note.content"] == "a tiny run"
    artifact = MlflowClient().download_artifacts(run.info.run_id, "config.json", str(tmp_path))
    assert parse_config(Path(artifact).read_text(encoding="utf-8")) == config


def test_starting_again_reopens_the_same_run(run_id: str) -> None:
    first = start_parent_run(a_config(), run_id)
    finish_parent_run(first, "FAILED", "sft")
    assert start_parent_run(a_config(), run_id) == first
    assert MlflowClient().get_run(first).info.status == "RUNNING"


def test_starting_again_with_another_configuration_is_refused(run_id: str) -> None:
    start_parent_run(a_config(), run_id)
    with pytest.raises(GiftError, match="already has seed = '0', not '7'"):
        start_parent_run(a_config(seed=7), run_id)


def test_an_elastic_run_is_reopened_with_other_ranks(run_id: str) -> None:
    first = start_parent_run(a_config(compute={"ranks": 1, "elastic": True}), run_id)
    assert start_parent_run(a_config(compute={"ranks": 2, "zero_stage": 3, "elastic": True}), run_id) == first
    with pytest.raises(GiftError, match=r"already has compute\.precision = 'fp32', not 'bf16'"):
        start_parent_run(a_config(compute={"ranks": 2, "precision": "bf16", "elastic": True}), run_id)


def test_a_run_that_is_not_elastic_keeps_its_ranks(run_id: str) -> None:
    start_parent_run(a_config(compute={"ranks": 1}), run_id)
    with pytest.raises(GiftError, match=r"already has compute\.ranks = '1', not '2'"):
        start_parent_run(a_config(compute={"ranks": 2}), run_id)


def test_a_long_value_is_cut_in_the_parameter_only(run_id: str, tmp_path: Path) -> None:
    config = a_config(description="x" * 7000)
    parent = start_parent_run(config, run_id)
    assert start_parent_run(config, run_id) == parent
    assert len(MlflowClient().get_run(parent).data.params["description"]) == 6000
    artifact = MlflowClient().download_artifacts(parent, "config.json", str(tmp_path))
    assert json.loads(Path(artifact).read_text(encoding="utf-8"))["description"] == "x" * 7000


def test_parent_is_the_root_of_the_run_that_the_platform_made(run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = MlflowClient()
    experiment_id = client.create_experiment(f"platform-{run_id}")
    root = client.create_run(experiment_id).info.run_id
    task = client.create_run(experiment_id, tags={"mlflow.parentRunId": root}).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", task)
    assert start_parent_run(a_config(), run_id) == root
    assert client.get_run(root).data.tags["gift.run_id"] == run_id


def test_a_run_that_the_platform_made_elsewhere_is_refused(run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    with pytest.raises(GiftError, match=f"MLFLOW_RUN_ID is '{'0' * 32}', a run that this MLflow server does not have"):
        start_parent_run(a_config(), run_id)


def test_a_deleted_experiment_is_named(run_id: str) -> None:
    experiment_id = MlflowClient().create_experiment(f"deleted-{run_id}")
    MlflowClient().delete_experiment(experiment_id)
    with pytest.raises(GiftError, match=f"experiment 'deleted-{run_id}' is deleted"):
        start_parent_run(a_config(experiment=f"deleted-{run_id}"), run_id)


def test_finishing_records_the_failed_stage_and_closes_what_a_killed_process_left_open(parent_run_id: str) -> None:
    client = MlflowClient()
    never_left = stage_run(parent_run_id, "train")  # as after SIGKILL
    killed = never_left.__enter__()
    assert client.get_run(killed.run_id).info.status == "RUNNING"
    finish_parent_run(parent_run_id, "FAILED", "train")
    parent = client.get_run(parent_run_id)
    assert (parent.info.status, parent.data.tags["gift.failed_stage"]) == ("FAILED", "train")
    assert client.get_run(killed.run_id).info.status == "KILLED"


def test_a_retry_that_succeeds_forgets_the_failed_stage(parent_run_id: str) -> None:
    finish_parent_run(parent_run_id, "FAILED", "train")
    finish_parent_run(parent_run_id, "FINISHED", None)
    parent = MlflowClient().get_run(parent_run_id)
    assert parent.info.status == "FINISHED"
    assert "gift.failed_stage" not in parent.data.tags


# --- stage runs ----------------------------------------------------------------------------------------------------


def test_stage_run_is_nested_named_and_timed(parent_run_id: str) -> None:
    with stage_run(parent_run_id, "sft") as stage:
        stage.log_metrics({"loss": 0.5}, step=3)
        time.sleep(0.05)
    run = MlflowClient().get_run(stage.run_id)
    assert (run.info.run_name, run.info.status) == ("sft", "FINISHED")
    assert run.data.tags["mlflow.parentRunId"] == parent_run_id
    assert run.data.metrics["seconds"] >= 0.05
    assert [(m.step, m.value) for m in MlflowClient().get_metric_history(stage.run_id, "loss")] == [(3, 0.5)]


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_stage_run_records_how_it_ended(parent_run_id: str, error: type[BaseException], status: str) -> None:
    with pytest.raises(error), stage_run(parent_run_id, "sft") as stage:
        raise error
    assert MlflowClient().get_run(stage.run_id).info.status == status


def test_a_retried_stage_continues_its_run_and_adds_up_its_seconds(parent_run_id: str) -> None:
    with pytest.raises(RuntimeError, match="out of memory"), stage_run(parent_run_id, "prepare") as first:
        fail_after(0.2)
    with stage_run(parent_run_id, "prepare") as second:
        assert MlflowClient().get_run(second.run_id).info.status == "RUNNING"
    with stage_run(parent_run_id, "sft"):
        pass
    assert second.run_id == first.run_id
    seconds = {name: record.seconds for name, record in stage_records(parent_run_id).items()}
    assert list(seconds) == ["prepare", "sft"]
    assert seconds["prepare"] >= 0.2 > seconds["sft"]


def test_a_stage_tells_when_its_process_started_how_long_that_took_and_when_it_ended(parent_run_id: str) -> None:
    with stage_run(parent_run_id, "prepare"):
        (running,) = stage_records(parent_run_id).values()
        time.sleep(0.1)
    (first,) = stage_records(parent_run_id).values()
    assert (running.ended, running.seconds) == (None, 0.0)
    assert first.ended is not None
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - psutil.Process().create_time() + psutil.boot_time()
    assert first.began == pytest.approx(time.time() - age, abs=2)
    assert first.began + first.start_up + first.seconds == pytest.approx(first.ended, abs=1)
    with stage_run(parent_run_id, "prepare"):
        assert stage_records(parent_run_id)["prepare"].ended is None
    second = stage_records(parent_run_id)["prepare"]
    assert second.began == pytest.approx(first.began, abs=0.1)  # clocks are read one after the other
    assert second.start_up > first.start_up
    assert (second.ended or 0) > first.ended
    assert parent_started(parent_run_id) < first.ended


def test_of_a_step_that_was_done_twice_the_later_value_is_read(parent_run_id: str) -> None:
    with stage_run(parent_run_id, "train-sft") as tracking:
        client = MlflowClient()
        for step, value, logged in ((0, 3.0, 1000), (1, 2.5, 4000), (1, 2.0, 2000), (2, 1.0, 5000), (2, 1.5, 3000)):
            client.log_metric(tracking.run_id, "loss", value, timestamp=logged, step=step)
    assert stage_records(parent_run_id)["train-sft"].curves["loss"] == ((0, 3.0), (1, 2.5), (2, 1.0))


def test_params_and_tags_may_be_logged_again_but_not_changed(parent_run_id: str) -> None:
    with stage_run(parent_run_id, "sft") as stage:
        for _ in range(2):
            stage.log_params({"ranks": 2, "note": ""})
            stage.set_tags({"device": "cpu"})
        with pytest.raises(GiftError, match="already has ranks = '2', not '3'"):
            stage.log_params({"ranks": 3})
    run = MlflowClient().get_run(stage.run_id)
    assert run.data.params == {"ranks": "2", "note": ""}
    assert run.data.tags["device"] == "cpu"


def test_dataset_inputs_point_to_s3_and_keep_the_whole_digest(parent_run_id: str) -> None:
    with stage_run(parent_run_id, "sft") as stage:
        for _ in range(2):
            stage.log_dataset_input("arithmetic", "s3://gift/data/train", "d" * 64, "training")
    (logged,) = MlflowClient().get_run(stage.run_id).inputs.dataset_inputs
    assert {tag.key: tag.value for tag in logged.tags} == {"mlflow.data.context": "training", "gift.digest": "d" * 64}
    assert logged.dataset.name == "arithmetic"
    assert mlflow.data.get_source(logged.dataset).uri == "s3://gift/data/train"


def test_artifacts_can_be_logged_to_any_run_by_its_id(parent_run_id: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"verdict": "promoted"}', encoding="utf-8")
    StageRun(parent_run_id).log_artifact(tmp_path / "report.json")
    assert "report.json" in {file.path for file in MlflowClient().list_artifacts(parent_run_id)}

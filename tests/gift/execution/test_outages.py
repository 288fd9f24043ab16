"""S3 or MLflow away, slow or wrong, while a stage starts, works and ends: what it costs, and what it never costs."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faulty_proxy import FaultyProxy, faulty_proxy
from mlflow import MlflowClient
from tiny_settings import TINY_WARM_UP

from gift import patience
from gift.config import RunConfig, load_profile
from gift.execution import train_once
from gift.execution.outbox import OUTBOX_VARIABLE
from gift.execution.output import Output
from gift.execution.stage import Stage, run_stage
from gift.stages.lifecycle import finish_run
from gift.stages.prepare_data import prepare_data
from gift.stages.prepare_model import prepare_model
from gift.stages.train_sft import train_sft
from gift.storage import read_manifest
from gift.tracking import start_parent_run
from gift.tracking.records import stage_records
from pipelines.local.services import Services


@pytest.fixture
def tracker(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with faulty_proxy(services.mlflow_port) as proxy:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{proxy.port}")
        yield proxy


@pytest.fixture
def outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(OUTBOX_VARIABLE, str(tmp_path / "outbox"))
    return tmp_path / "outbox"


@pytest.fixture
def config(bucket_prefix: str, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.3)
    wait = "cluster.service_wait_minutes=0.05"
    return load_profile("local", (*TINY_WARM_UP, f"storage.uri={bucket_prefix}", wait))


@pytest.fixture
def run(config: RunConfig) -> dict[str, str]:
    """The arguments that all stages of a run share."""
    run_id = f"test-{uuid.uuid4().hex}"
    parent = start_parent_run(config, run_id)
    return {"config": config.model_dump_json(), "run_id": run_id, "parent_run_id": parent}


def nothing() -> None:
    pass


def stage_that(meanwhile: Callable[[], None]) -> Callable[..., str]:
    """A stage that makes a text once, and does something `meanwhile`."""

    def write_text(stage: Stage) -> str:
        def make(folder: Path) -> dict[str, str]:
            meanwhile()
            (folder / "text.txt").write_text("made")
            return {"made": "once"}

        uri = stage.make_once(Output("texts", __name__, {}, {}), make)
        stage.tracking.log_metrics({"length": 4.0})
        return uri

    return write_text


def test_a_start_that_finds_another_at_work_makes_its_own(run: dict[str, str], outbox: Path) -> None:
    """Neither waits, and the output is that of the first one that is through."""
    others: list[str] = []

    def start_another() -> None:
        others.append(run_stage(stage_that(nothing), **run, label="other"))

    assert [run_stage(stage_that(start_another), **run)] == others
    assert list(outbox.iterdir()) == []


def test_what_was_half_made_is_made_again(run: dict[str, str], outbox: Path) -> None:
    def die() -> None:
        (folder,) = outbox.iterdir()
        (folder / "files" / "half").write_text("of a start that is killed now")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage(stage_that(die), **run)
    uri = run_stage(stage_that(nothing), **run)
    manifest = read_manifest(uri)
    assert manifest is not None
    assert [file.path for file in manifest.files] == ["text.txt"]


def test_a_training_that_is_done_when_the_store_goes_away_is_not_done_again(
    faulty_store: FaultyProxy,
    run: dict[str, str],
    outbox: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = run_stage(prepare_data, **run)
    inputs = {"data": data, "model": run_stage(prepare_model, **run, data=data)}
    faulty_store.fault_of = lambda method, path: "away" if method != "GET" and "/checkpoints/" in path else None
    capfd.readouterr()
    with pytest.raises(SystemExit):
        run_stage(train_sft, **run, **inputs)
    printed = capfd.readouterr()
    assert "waiting, for" in printed.out
    assert printed.err.splitlines()[-1].startswith(f"error: cannot reach S3 at 127.0.0.1:{faulty_store.port}")
    assert stage_records(run["parent_run_id"])["train-sft"].status == "FAILED"

    faulty_store.fault_of = lambda _method, _path: None
    monkeypatch.setattr(train_once, "launch_ranks", lambda *_, **_watch: pytest.fail("trained again"))
    uri = run_stage(train_sft, **run, **inputs)
    assert read_manifest(uri) is not None
    assert list(outbox.iterdir()) == []
    record = stage_records(run["parent_run_id"])["train-sft"]
    assert (record.status, len(record.curves["loss"])) == ("FINISHED", 4)


def test_a_run_is_closed_although_the_store_behind_mlflow_is_away(
    tracker: FaultyProxy, run: dict[str, str], config: RunConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker.fault_of = lambda _method, path: "500" if "/mlflow-artifacts/" in path else None
    finish_run(run["config"], run["run_id"], "FAILED")
    assert MlflowClient().get_run(run["parent_run_id"]).info.status == "FAILED"

    with pytest.raises(SystemExit):
        run_stage(_log_a_file, **run)
    (error,) = capsys.readouterr().err.splitlines()
    assert "answers, and the store (S3) where it keeps files does not" in error


def _log_a_file(stage: Stage) -> str:
    stage.tracking.log_artifact(Path(__file__))
    return ""

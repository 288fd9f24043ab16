"""Services that restart under a stage cost it a wait; refusals are not waited for. With real servers."""

import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tiny_wheels import served as served_over_tls

from gift.config import RunConfig, load_profile
from gift.errors import GiftError, ServiceAwayError
from gift.execution.output import Output
from gift.execution.stage import Stage, run_stage
from gift.patience import NO_PATIENCE, ServicePatience
from gift.storage import read_manifest
from gift.tracking import start_parent_run
from pipelines.local.server_commands import HOST
from pipelines.local.services import Services, start_services, stop_services
from pipelines.machine.processes import free_ports

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Nobody else's, as they are stopped here; requests give up at once, so that all waiting is ours."""
    folder = tmp_path_factory.mktemp("services")
    with pytest.MonkeyPatch.context() as environment:
        running = _start(folder, *free_ports(HOST, 2))
        for name, value in running.environment.items():
            environment.setenv(name, value)
        environment.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        environment.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
        yield running
        stop_services(folder)


def _start(folder: Path, s3_port: int, mlflow_port: int) -> Services:
    return start_services(folder, s3_port=s3_port, mlflow_port=mlflow_port)


@pytest.fixture
def config(own_services: Services) -> RunConfig:
    return load_profile("local", (f"storage.uri=s3://gift/{uuid.uuid4().hex}", "cluster.service_wait_minutes=2"))


def _away_for(services: Services, seconds: float) -> threading.Thread:
    """Stops both services now, and starts them again on the same ports."""
    stop_services(services.state_dir)

    def come_back() -> None:
        time.sleep(seconds)
        _start(services.state_dir, services.s3_port, services.mlflow_port)

    thread = threading.Thread(target=come_back)
    thread.start()
    return thread


def test_a_stage_waits_at_its_start_for_its_output_and_for_its_books(
    own_services: Services, config: RunConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = start_parent_run(config, uuid.uuid4().hex)
    outages = [_away_for(own_services, 3)]
    waits: list[str] = []
    runs: list[str] = []

    def note_waits() -> None:
        lines = [line for line in capsys.readouterr().out.splitlines() if "waiting, for" in line]
        assert 1 <= len(lines) <= 2, "one line for each service that is away for less than a minute"
        waits.append(lines[0])

    def write_text(stage: Stage) -> str:
        def make(folder: Path) -> dict[str, str]:
            note_waits()
            (folder / "text.txt").write_text("made once")
            outages.append(_away_for(own_services, 3))
            return {}

        uri = stage.make_once(Output("texts", __name__, {}, {}), make)
        note_waits()
        outages.append(_away_for(own_services, 3))
        stage.tracking.log_metrics({"length": 9.0})
        note_waits()
        runs.append(stage.tracking.run_id)
        return uri

    uri = run_stage(write_text, config=config.model_dump_json(), run_id="r", parent_run_id=parent)
    for outage in outages:
        outage.join()
    assert ["MLflow at" in waits[0], "S3 at" in waits[1], "MLflow at" in waits[2]] == [True] * 3
    assert read_manifest(uri) is not None
    run = MlflowClient().get_run(runs[0])
    assert (run.info.status, run.data.metrics["length"]) == ("FINISHED", 9.0)


def test_no_patience_means_that_the_first_failure_counts(own_services: Services, config: RunConfig) -> None:
    outage = _away_for(own_services, 0)
    with pytest.raises(ServiceAwayError, match="does not answer"):
        NO_PATIENCE(lambda: start_parent_run(config, uuid.uuid4().hex))
    outage.join()


def test_a_refusal_is_not_waited_for(
    own_services: Services, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    patiently = ServicePatience.of(config)
    started = time.monotonic()
    with pytest.raises(GiftError, match="bucket nowhere does not exist"):
        patiently(lambda: read_manifest("s3://nowhere/texts"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(GiftError, match="refuses our key"):
        patiently(lambda: read_manifest("s3://gift/texts"))
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("service", ["MLflow", "S3"])
def test_a_certificate_that_is_not_trusted_is_not_waited_for(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, service: str
) -> None:
    patiently = ServicePatience.of(config)
    with served_over_tls(tmp_path, tmp_path / "keys") as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://{server.address}")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"https://{server.address}")
        ask = {"MLflow": lambda: start_parent_run(config, "r"), "S3": lambda: read_manifest("s3://gift/texts")}[service]
        started = time.monotonic()
        with pytest.raises(GiftError, match=f"{service} at {server.address} has a certificate that is not trusted"):
            patiently(ask)
    assert time.monotonic() - started < 60, "less than the 120 seconds that an outage is waited for"


def test_on_one_machine_it_is_a_matter_of_seconds(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ServicePatience.of(config).seconds == 120
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    assert ServicePatience.of(config).seconds <= 10

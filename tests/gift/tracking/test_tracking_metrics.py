"""Metrics of a training job: nothing is lost, doubled or reordered, and training never waits, whatever MLflow does."""

import math
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from mlflow.tracking import MlflowClient

from gift.tracking import MetricLog, send_late_metrics, stage_run
from pipelines.machine import processes

HOST = "127.0.0.1"

pytestmark = pytest.mark.usefixtures("services")

# On a busy machine the scheduler alone can take some of this; a request to a silent server takes two seconds here.
LONGEST_CALL_SECONDS = 0.5


class Server:
    """An MLflow server that a test may stop, continue and restart on the same port."""

    def __init__(self, folder: Path) -> None:
        (port,) = processes.free_ports(HOST, 1)
        self.uri = f"http://{HOST}:{port}"
        self._folder = folder
        self._command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
        self._command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
        self._family: list[psutil.Process] = []

    def start(self) -> None:
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        record = processes.spawn(self._command, self._folder, environment, self._folder / "mlflow.log")
        deadline = time.monotonic() + 120
        while not self._answers():
            assert time.monotonic() < deadline, processes.last_lines(self._folder / "mlflow.log")
        self._family = processes.with_children([record])

    def stop(self) -> None:
        processes.stop(self._family)

    def send(self, signal_number: signal.Signals) -> None:
        for process in self._family:
            process.send_signal(signal_number)

    def _answers(self) -> bool:
        try:
            return bool(urllib.request.urlopen(f"{self.uri}/health", timeout=5).status == 200)
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
            return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("mlflow"))
    try:
        server.start()
        yield server
    finally:
        server.send(signal.SIGCONT)
        server.stop()


@pytest.fixture
def own_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server that may be disturbed, as the one in MLFLOW_TRACKING_URI; a call to it gives up after two seconds."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    return server


def a_run() -> str:
    """A new MLflow run in the default experiment."""
    run_id: str = MlflowClient().create_run("0").info.run_id
    return run_id


def history(run_id: str, key: str) -> list[tuple[int, float]]:
    """(step, value) in the order of the time stamps."""
    entries = sorted(MlflowClient().get_metric_history(run_id, key), key=lambda metric: metric.timestamp)
    return [(metric.step, metric.value) for metric in entries]


def log_steps(log: MetricLog, steps: range) -> float:
    """Log a metric whose value is ten times the step; returns the seconds that the slowest call took."""
    slowest = 0.0
    for step in steps:
        started = time.perf_counter()
        log.log({"reward": 10.0 * step}, step)
        slowest = max(slowest, time.perf_counter() - started)
        time.sleep(0.02)
    return slowest


def expected(steps: range) -> list[tuple[int, float]]:
    return [(step, 10.0 * step) for step in steps]


def replay(spool: Path, run_id: str) -> int:
    """What the stage does after the job; the number of metrics that are still not sent."""
    send_late_metrics(spool, run_id)
    return len(spool.read_text(encoding="utf-8").splitlines()) if spool.exists() else 0


def wait_until_sent(run_id: str, step: int, spool: Path) -> None:
    deadline = time.monotonic() + 20
    while (step, 10.0 * step) not in history(run_id, "reward") or spool.exists():
        assert time.monotonic() < deadline, f"step {step} did not arrive"
        time.sleep(0.1)


def test_metrics_arrive_while_training_goes_on_and_leave_no_spool(tmp_path: Path) -> None:
    run_id, spool = a_run(), tmp_path / "new" / "spool.jsonl"
    log = MetricLog(run_id, spool)
    log_steps(log, range(5))
    wait_until_sent(run_id, 4, spool)
    log.log({"reward": 50.0, "kl/mean": 0.25}, 5)
    assert log.close() == 0
    assert history(run_id, "reward") == expected(range(6))
    assert history(run_id, "kl/mean") == [(5, 0.25)]
    assert not spool.exists()
    assert replay(spool, run_id) == 0
    with pytest.raises(RuntimeError, match="closed"):
        log.log({"reward": 0.0}, 6)


def test_more_metrics_than_one_request_takes_are_split(tmp_path: Path) -> None:
    run_id = a_run()
    log = MetricLog(run_id, tmp_path / "spool.jsonl")
    for step in range(2500):
        log.log({"reward": 10.0 * step}, step)
    assert log.close() == 0
    client = MlflowClient()
    assert {m.step for m in client.get_metric_history(run_id, "reward")} == set(range(2500))


def test_nan_stays_nan_and_infinity_becomes_the_largest_number(tmp_path: Path) -> None:
    run_id = a_run()
    log = MetricLog(run_id, tmp_path / "spool.jsonl")
    log.log({"loss": math.nan, "kl": math.inf}, 0)
    assert log.close() == 0
    assert math.isnan(history(run_id, "loss")[0][1])
    assert history(run_id, "kl") == [(0, sys.float_info.max)]


def refused_name(run_id: str) -> dict[str, float]:
    return {"accuracy in %": 1.0}


def deleted_run(run_id: str) -> dict[str, float]:
    MlflowClient().delete_run(run_id)
    return {"accuracy": 1.0}


def deleted_experiment(run_id: str) -> dict[str, float]:
    client = MlflowClient()
    client.delete_experiment(client.get_run(run_id).info.experiment_id)
    return {"accuracy": 1.0}


@pytest.mark.parametrize(
    ("disturb", "message"),
    [
        (refused_name, 'Invalid value "accuracy in %"'),
        (deleted_run, "must be in the 'active' state"),
        (deleted_experiment, "must be in the 'active' state"),
    ],
)
def test_what_the_server_refuses_ends_no_training_and_is_one_line(
    disturb: Callable[[str], dict[str, float]],
    message: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    client = MlflowClient()
    run_id = client.create_run(client.create_experiment(f"refused-{time.time_ns()}")).info.run_id
    spool = tmp_path / "spool.jsonl"
    log = MetricLog(run_id, spool)
    log.log(disturb(run_id), 0)
    log.log({"reward": 1.0}, 1)
    assert log.close() == 2
    assert len(spool.read_text(encoding="utf-8").splitlines()) == 2
    (warning,) = caplog.records
    assert message in warning.getMessage()
    assert warning.exc_info is None
    send_late_metrics(spool, run_id)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("  2 metrics of this stage are lost, its work is not: MLflow at 127.0.0.1:")
    assert message in line


def test_a_value_that_is_no_number_fails_where_it_is_logged(tmp_path: Path) -> None:
    log = MetricLog(a_run(), tmp_path / "spool.jsonl")
    with pytest.raises(ValueError, match="high"):
        log.log({"reward": "high"}, 0)  # type: ignore[dict-item]
    assert log.close() == 0


def test_an_outage_during_training_delays_metrics_but_neither_loses_nor_doubles_them(
    own_server: Server, tmp_path: Path
) -> None:
    run_id, spool = a_run(), tmp_path / "spool.jsonl"
    log = MetricLog(run_id, spool)
    slowest = [log_steps(log, range(20))]
    wait_until_sent(run_id, 19, spool)
    own_server.stop()
    slowest.append(log_steps(log, range(20, 120)))
    own_server.start()
    slowest.append(log_steps(log, range(120, 140)))
    assert log.close() == 0
    assert history(run_id, "reward") == expected(range(140))
    assert max(slowest) < LONGEST_CALL_SECONDS
    assert not spool.exists()


def test_close_does_not_hang_on_a_silent_server_and_the_stage_can_replay(own_server: Server, tmp_path: Path) -> None:
    run_id, spool = a_run(), tmp_path / "spool.jsonl"
    log = MetricLog(run_id, spool)
    log_steps(log, range(10))
    wait_until_sent(run_id, 9, spool)
    own_server.send(signal.SIGSTOP)
    try:
        assert log_steps(log, range(10, 80)) < LONGEST_CALL_SECONDS  # long enough for a request to be under way
        started = time.monotonic()
        assert log.close(timeout=0.2) == 70
        assert time.monotonic() - started < 1.0
        assert replay(spool, run_id) == 70
    finally:
        own_server.send(signal.SIGCONT)
    assert replay(spool, run_id) == 0
    assert history(run_id, "reward") == expected(range(80))


def test_a_stage_that_is_done_does_not_fail_when_the_server_is_away_at_its_end(
    own_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        with stage_run(a_run(), "train"):
            own_server.send(signal.SIGSTOP)
    finally:
        own_server.send(signal.SIGCONT)
    assert f"{own_server.uri.removeprefix('http://')} does not answer" in caplog.text


def test_metrics_of_a_killed_process_are_replayed(tmp_path: Path) -> None:
    run_id, spool = a_run(), tmp_path / "spool.jsonl"
    (dead_port,) = processes.free_ports(HOST, 1)
    script = """
import os, pathlib, sys, time
from gift.tracking import MetricLog
run_id, spool = sys.argv[1], pathlib.Path(sys.argv[2])
log = MetricLog(run_id, spool)
for step in range(5):
    log.log({"reward": 10.0 * step}, step)
    time.sleep(0.005)
while not spool.exists():
    time.sleep(0.05)
os._exit(9)
"""
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"http://{HOST}:{dead_port}"}
    killed = subprocess.run([sys.executable, "-c", script, run_id, str(spool)], env=environment, timeout=60)
    assert killed.returncode == 9
    with spool.open("ab") as file:
        file.write(b'{"key": "rew')  # the line at which it was killed
    whole_file = spool.read_bytes()
    assert replay(spool, run_id) == 0
    spool.write_bytes(whole_file)
    assert replay(spool, run_id) == 0
    assert history(run_id, "reward") == expected(range(5))


def test_a_new_log_first_sends_what_the_one_before_it_left(tmp_path: Path) -> None:
    run_id, spool = a_run(), tmp_path / "spool.jsonl"
    spool.write_text('{"key": "reward", "value": 0.0, "timestamp": 1, "step": 0}\n', encoding="utf-8")
    log = MetricLog(run_id, spool)
    log.log({"reward": 10.0}, 1)
    assert log.close() == 0
    assert history(run_id, "reward") == expected(range(2))

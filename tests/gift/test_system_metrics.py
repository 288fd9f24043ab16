"""System metrics are MLflow's own by name, unit and value, of each node, and cost a training nothing."""

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.system_metrics.metrics import gpu_monitor
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

from gift.system_metrics import system_metrics
from gift.tracking import stage_records, stage_run
from pipelines.local.services import Services

NVML = """
from types import SimpleNamespace

class NVMLError(Exception): ...

def nvmlInit():
    {init}

def nvmlDeviceGetCount(): return 2
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetMemoryInfo(gpu): return SimpleNamespace(used=(gpu + 1) * 10**9, total=8 * 10**9)
def nvmlDeviceGetUtilizationRates(gpu):
    if gpu: raise NVMLError  # part of a GPU
    return SimpleNamespace(gpu=70)
def nvmlDeviceGetPowerUsage(gpu): return 250_000
def nvmlDeviceGetEnforcedPowerLimit(gpu): return 500_000
"""


@pytest.fixture
def run_id(services: Services) -> str:
    client = MlflowClient()
    return str(client.create_run(client.create_experiment(f"test-{time.time_ns()}")).info.run_id)


@pytest.fixture
def play_nvml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Puts a pynvml in place whose `nvmlInit` does what is given."""

    def play(init: str) -> None:
        (tmp_path / "pynvml.py").write_text(NVML.format(init=init))
        monkeypatch.syspath_prepend(tmp_path)

    yield play
    sys.modules.pop("pynvml", None)


def logged(run_id: str) -> dict[str, float]:
    metrics = MlflowClient().get_run(run_id).data.metrics
    return {name: value for name, value in metrics.items() if name.startswith("system/")}


def test_they_have_the_names_and_units_of_mlflows_own_monitor(
    run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gift.system_metrics.SAMPLE_SECONDS", 0.2)
    monitors = (CPUMonitor(), DiskMonitor(), NetworkMonitor())
    with system_metrics(run_id, tmp_path / "spool") as look:
        for _ in range(60):
            look()
            time.sleep(0.01)
    expected: dict[str, float] = {}
    for monitor in monitors:
        monitor.collect_metrics()
        expected |= monitor.aggregate_metrics()
    found = {name.removeprefix("system/"): value for name, value in logged(run_id).items()}
    assert found.keys() == expected.keys()
    for name in ("system_memory_usage_percentage", "disk_usage_percentage", "disk_usage_megabytes"):
        assert found[name] == pytest.approx(expected[name], rel=0.1, abs=3), name
    assert 0 < found["cpu_utilization_percentage"] <= 100
    steps = [entry.step for entry in MlflowClient().get_metric_history(run_id, "system/cpu_utilization_percentage")]
    assert steps == list(range(len(steps)))
    assert len(steps) >= 3


def test_a_training_shorter_than_the_first_sample_has_one_too_under_its_nodes_name(run_id: str, tmp_path: Path) -> None:
    with system_metrics(run_id, tmp_path / "spool", node=1) as look:
        look()
    assert {name.split("/")[1] for name in logged(run_id)} == {"node_1"}
    assert "system/node_1/cpu_utilization_percentage" in logged(run_id)


def test_gpus_are_read_as_mlflow_reads_them(run_id: str, tmp_path: Path, play_nvml: Callable[[str], None]) -> None:
    """NVML is played here, as there is no GPU; it says of the second one what it says of part of a GPU."""
    play_nvml("pass")
    monitor = importlib.reload(gpu_monitor).GPUMonitor()
    monitor.collect_metrics()
    with system_metrics(run_id, tmp_path / "spool"):
        pass
    gpus = {name.removeprefix("system/"): value for name, value in logged(run_id).items() if "gpu" in name}
    assert gpus == pytest.approx(monitor.aggregate_metrics())
    assert gpus["gpu_1_memory_usage_percentage"] == 25
    assert "gpu_1_utilization_percentage" not in gpus


def test_without_a_driver_there_are_no_gpus(run_id: str, tmp_path: Path, play_nvml: Callable[[str], None]) -> None:
    play_nvml("raise NVMLError")
    with system_metrics(run_id, tmp_path / "spool"):
        pass
    assert logged(run_id)
    assert not [name for name in logged(run_id) if "gpu" in name]


def test_an_mlflow_that_is_away_costs_a_line_and_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr("gift.system_metrics.CLOSE_SECONDS", 0.5)
    began = time.monotonic()
    with system_metrics("nobody", tmp_path / "spool") as look:
        look()
    assert time.monotonic() - began < 5
    assert "8 system metrics of this node are lost: MLflow did not take them in time" in capsys.readouterr().out


def test_a_report_reads_none_of_them(services: Services, tmp_path: Path) -> None:
    client = MlflowClient()
    parent = client.create_run(client.create_experiment(f"test-{time.time_ns()}")).info.run_id
    with stage_run(parent, "train-sft") as tracking:
        client.log_metric(tracking.run_id, "system/cpu_utilization_percentage", 1.0, step=0)
        client.log_metric(tracking.run_id, "system/cpu_utilization_percentage", 2.0, step=1)
        for step in (0, 1):
            client.log_metric(tracking.run_id, "loss", 1.0, step=step)
    assert list(stage_records(parent)["train-sft"].curves) == ["loss"]

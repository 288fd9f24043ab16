"""MLflow's system metrics of a node that trains: how busy its CPUs and GPUs are, its memory, its disk and its network.

    who waits for the ranks ── each second: is a sample due? ──> psutil, NVML ──> `system/…` of the training's run

Names and units are those of MLflow's own monitor (mlflow.system_metrics, whose package no stage loads), so that the
run's page shows them under «System metrics»; steps count the samples of one attempt, as there. The figures are the
machine's, or what of it a container sees. Left out: GPUs that are not NVIDIA's, and what each process takes.
May import `tracking`.
"""

import importlib.util
import itertools
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from gift.tracking import SYSTEM_PREFIX, MetricLog

SAMPLE_SECONDS = 10.0
"""MLflow's default."""
CLOSE_SECONDS = 3.0
"""How long a training that has ended waits for MLflow to take the rest; who stops it by force waits no longer."""
MEGA = 1e6
"""MLflow's megabytes are of a million bytes."""

logger = logging.getLogger(__name__)

Figures = Callable[[], dict[str, float]]


@contextmanager
def system_metrics(run_id: str, spool: Path, node: int | None = None) -> Iterator[Callable[[], None]]:
    """Yields what its user calls every second or so: it takes a sample where one is due, and never waits for MLflow.

    Another sample is taken at the end, so that a short training has one, too. Nothing here ends a training.

    Args:
        spool: a file of this log's own, for what MLflow does not take at once.
        node: which of several it is, from 0; then the names are `system/node_0/…`, and so on.
    """
    prefix = SYSTEM_PREFIX if node is None else f"{SYSTEM_PREFIX}node_{node}/"
    log, sources, steps = MetricLog(run_id, spool), (_machine_figures(), _gpu_figures()), itertools.count()
    due = time.monotonic() + SAMPLE_SECONDS

    def sample() -> None:
        try:
            figures = {f"{prefix}{name}": figure for source in sources for name, figure in source().items()}
        except (OSError, psutil.Error) as error:
            logger.warning("no system metrics at this moment: %s", error)
        else:
            log.log(figures, next(steps))

    def look() -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + SAMPLE_SECONDS
            sample()

    try:
        yield look
    finally:
        sample()
        if unsent := log.close(CLOSE_SECONDS):
            print(f"  {unsent} system metrics of this node are lost: MLflow did not take them in time", flush=True)


def _machine_figures() -> Figures:
    """What reads the machine. Utilisation is the mean since the last reading, network traffic the sum from now on."""
    psutil.cpu_percent()  # the first reading is of no time, and counts for nothing
    start = psutil.net_io_counters()

    def read() -> dict[str, float]:
        memory, disk = psutil.virtual_memory(), psutil.disk_usage(tempfile.gettempdir())  # where a training writes
        figures = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / MEGA,
            "system_memory_usage_percentage": 100 * memory.used / memory.total,
            "disk_usage_percentage": disk.percent,
            "disk_usage_megabytes": disk.used / MEGA,
            "disk_available_megabytes": disk.free / MEGA,
        }
        network = psutil.net_io_counters()
        if start is not None and network is not None:  # None: a container without any
            figures["network_receive_megabytes"] = (network.bytes_recv - start.bytes_recv) / MEGA
            figures["network_transmit_megabytes"] = (network.bytes_sent - start.bytes_sent) / MEGA
        return figures

    return read


def _gpu_figures() -> Figures:
    """What reads the NVIDIA GPUs that are visible here: nothing where there are none, or no NVML to ask."""
    if importlib.util.find_spec("pynvml") is None:
        return dict
    import pynvml  # of nvidia-ml-py, which only an image for GPUs has

    try:
        pynvml.nvmlInit()
        gpus = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:  # no driver
        return dict

    def read() -> dict[str, float]:
        figures: dict[str, float] = {}
        for index, gpu in enumerate(gpus):
            with suppress(pynvml.NVMLError):
                memory = pynvml.nvmlDeviceGetMemoryInfo(gpu)
                figures[f"gpu_{index}_memory_usage_megabytes"] = memory.used / MEGA
                figures[f"gpu_{index}_memory_usage_percentage"] = 100 * memory.used / memory.total
            with suppress(pynvml.NVMLError):  # part of a GPU (MIG) does not say
                figures[f"gpu_{index}_utilization_percentage"] = pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu
            with suppress(pynvml.NVMLError):
                watts, limit = pynvml.nvmlDeviceGetPowerUsage(gpu), pynvml.nvmlDeviceGetEnforcedPowerLimit(gpu)
                figures[f"gpu_{index}_power_usage_watts"] = watts / 1000  # NVML counts in milliwatts
                figures[f"gpu_{index}_power_usage_percentage"] = 100 * watts / limit
        return figures

    return read

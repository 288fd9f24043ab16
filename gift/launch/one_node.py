"""Starts the ranks of a training job that belong to this machine and waits for them.

    stage or node ── launch_ranks ──> `python -m gift.launch.rank_parent <module> <job_file> …` ── fork ──> R ranks

The reason of a failure comes back as one sentence, and no rank outlives this process, however it ends. SIGTERM is
handed on to them (`gift.launch.notice`). Torch is not imported here, so that a stage pays for it only in its ranks.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gift.config import ComputeConfig
from gift.errors import GiftError
from gift.host.end_with_parent import end_with_parent
from gift.host.full_disk import temporary_folder
from gift.launch.notice import on_notice

GRACE_SECONDS = 15
"""For the parent of the ranks to end them and itself."""
REASON_FILE = "reason.txt"
"""What the parent of the ranks leaves when they fail."""


@dataclass(frozen=True)
class NodePlace:
    """Which of several nodes this one is, and where they meet."""

    node: int
    """From 0; node 0 has the ranks 0, 1, …"""
    address: str
    """Name or IP address of node 0."""
    port: int
    interface: str
    """The network interface that leads to the other nodes."""


def launch_ranks(
    module: str,
    job_file: Path,
    compute: ComputeConfig,
    place: NodePlace | None = None,
    watch: Callable[[], None] = lambda: None,
) -> None:
    """Run `module` as `__main__` in this machine's ranks, with `job_file` as the only argument, until all of them end.

    The ranks' stdout and stderr go to this process's stdout as they are written.

    Args:
        place: None if all `compute.ranks` are on this machine.
        watch: called every second; what it raises ends the ranks and is raised here.

    Raises:
        GiftError: a rank failed. The text is that of the first `GiftError` raised in a rank, or else it names the
            module, the rank, the exit code and the error.
    """
    with temporary_folder("gift-ranks-") as folder:
        parent = subprocess.Popen(  # noqa: S603 (no shell, and our own arguments)
            [sys.executable, "-m", "gift.launch.rank_parent", module, str(job_file), str(folder)],
            env=_environment(compute, place),
            preexec_fn=end_with_parent(os.getpid()),
        )
        try:
            with on_notice(parent.terminate):
                exit_code = _wait(parent, watch)
        finally:
            _end(parent)
        if exit_code != 0:
            raise GiftError(_reason(module, exit_code, folder / REASON_FILE))


def _environment(compute: ComputeConfig, place: NodePlace | None) -> dict[str, str]:
    """Of the ranks, by the names that torch and DeepSpeed know. The port 0 stands for any that is free."""
    environment = os.environ | {
        "OMP_NUM_THREADS": str(compute.threads_per_rank),
        "WORLD_SIZE": str(compute.ranks),
        "LOCAL_WORLD_SIZE": str(compute.ranks // compute.nodes),
        "GROUP_RANK": str(place.node if place else 0),
        "MASTER_ADDR": place.address if place else "127.0.0.1",
        "MASTER_PORT": str(place.port if place else 0),
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # looking for GPUs must not open one before the fork
    }
    if compute.device != "auto":
        environment["DS_ACCELERATOR"] = compute.device  # DeepSpeed chooses when it is imported, not when it is called
    if place is not None:
        environment |= {"GLOO_SOCKET_IFNAME": place.interface}
        environment.setdefault("NCCL_SOCKET_IFNAME", f"={place.interface}")  # a cluster may have set a faster one
    elif sys.platform.startswith("linux"):
        environment["GLOO_SOCKET_IFNAME"] = "lo"  # one machine: gloo's unauthenticated ports stay off the network
    return environment


def _wait(parent: subprocess.Popen[bytes], watch: Callable[[], None]) -> int:
    while True:
        try:
            return parent.wait(1)
        except subprocess.TimeoutExpired:
            watch()


def _end(parent: subprocess.Popen[bytes]) -> None:
    """SIGINT lets the parent end its ranks; were it killed instead, the kernel would kill them with it."""
    if parent.poll() is None:
        parent.send_signal(signal.SIGINT)
        try:
            parent.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            parent.kill()
            parent.wait()


def _reason(module: str, exit_code: int, file: Path) -> str:
    """What the parent of the ranks left, or what is known of its own end."""
    if file.exists():
        return file.read_text(encoding="utf-8")
    if exit_code < 0:
        name = signal.Signals(-exit_code).name
        return f"{module}: the parent of its ranks was killed by {name} (exit code {exit_code})"
    return f"{module}: its ranks could not be started (exit code {exit_code}); the last output tells why"

"""Starts the ranks of a training job that belong to this machine and waits for them: torchrun, plus what it lacks.

    stage or node ── launch_ranks ──> torchrun agent ──> R x `python -m gift.launch.rank_program <module> <job_file>`

What it adds: the reason of a failure comes back as one sentence, torchrun's own banner is kept out of the log, and no
rank outlives this process, however it ends. Torch is not imported here, so that a stage pays for it only in its ranks.

Left out on purpose: restarts (the pipeline retries the stage, which resumes from its own checkpoint).
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gift.config import ComputeConfig
from gift.end_with_parent import end_with_parent
from gift.errors import GiftError

GRACE_SECONDS = 10
MEET_SECONDS = 30 * 60
"""How long torchrun waits for that of another node; the nodes start after a roll call, but fetch the model alone."""


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
    with tempfile.TemporaryDirectory(prefix="gift-ranks-") as scratch:
        log = Path(scratch, "agent.log")
        with log.open("wb") as agent_stderr:
            agent = subprocess.Popen(  # noqa: S603 (no shell, and our own arguments)
                _agent_command(module, job_file, compute, place, Path(scratch)),
                env=_rank_environment(compute, place),
                stderr=agent_stderr,
                preexec_fn=end_with_parent(os.getpid()),
            )
            try:
                exit_code = _wait(agent, watch)
            finally:
                _end(agent)
        if exit_code != 0:
            first_rank = place.node * _ranks_here(compute) if place else 0
            raise GiftError(_reason(module, exit_code, first_rank, Path(scratch), log.read_text(errors="replace")))


def _ranks_here(compute: ComputeConfig) -> int:
    return compute.ranks // compute.nodes


def _agent_command(
    module: str, job_file: Path, compute: ComputeConfig, place: NodePlace | None, scratch: Path
) -> list[str]:
    """`--standalone` lets the rendezvous pick a free port, so that jobs side by side never collide."""
    if place is None:
        meeting = ["--standalone", "--local-addr", "127.0.0.1"]
    else:
        meeting = ["--nnodes", str(compute.nodes), "--node-rank", str(place.node)]
        meeting += ["--master-addr", place.address, "--master-port", str(place.port)]
        meeting += ["--rdzv-conf", f"timeout={MEET_SECONDS}"]
    settings = ["--nproc-per-node", str(_ranks_here(compute)), "--max-restarts", "0", "--log-dir", str(scratch)]
    rank_command = ["-m", "gift.launch.rank_program", module, str(job_file)]
    return [sys.executable, "-m", "torch.distributed.run", *meeting, *settings, *rank_command]


def _rank_environment(compute: ComputeConfig, place: NodePlace | None) -> dict[str, str]:
    environment = os.environ | {"OMP_NUM_THREADS": str(compute.threads_per_rank)}
    if compute.device != "auto":
        environment["DS_ACCELERATOR"] = compute.device  # DeepSpeed chooses when it is imported, not when it is called
    if place is not None:
        environment |= {"GLOO_SOCKET_IFNAME": place.interface}
        environment.setdefault("NCCL_SOCKET_IFNAME", f"={place.interface}")  # a cluster may have set a faster one
    elif sys.platform.startswith("linux"):
        environment["GLOO_SOCKET_IFNAME"] = "lo"  # one machine: gloo's unauthenticated ports stay off the network
    return environment


def _wait(agent: subprocess.Popen[bytes], watch: Callable[[], None]) -> int:
    while True:
        try:
            return agent.wait(1)
        except subprocess.TimeoutExpired:
            watch()


def _end(agent: subprocess.Popen[bytes]) -> None:
    """SIGTERM lets the agent stop its ranks; were it killed instead, the kernel would kill them with it."""
    if agent.poll() is None:
        agent.terminate()
        try:
            agent.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()


def _reason(module: str, exit_code: int, first_rank: int, scratch: Path, agent_log: str) -> str:
    """One sentence on the first failure: a killed rank, else the first recorded exception, else what the agent says.

    A rank that dies breaks the connections of the others, so the order of the error files decides, not the rank.
    The agent's log counts ranks over all nodes, its folders only those of this one, which start at `first_rank`.
    """
    failures = [
        (rank, int(code)) for rank, code in re.findall(r"rank\s*: (\d+) .*\n\s*exitcode\s*: (-?\d+)", agent_log)
    ]
    for rank, code in failures:
        if code < 0 and code != -signal.SIGTERM:  # SIGTERM is how the agent stops the ranks that did not fail
            name = signal.Signals(-code).name
            hint = "; the machine may be out of memory" if name == "SIGKILL" else ""
            return f"{module}: rank {rank} was killed by {name} (exit code {code}){hint}"
    error_files = sorted(scratch.glob("*/attempt_0/*/error.json"), key=lambda path: path.stat().st_mtime_ns)
    if error_files:
        error = json.loads(error_files[0].read_text())["message"]["message"]
        own_text = error.removeprefix(f"{GiftError.__name__}: ")
        rank = first_rank + int(error_files[0].parent.name)
        return own_text if own_text != error else f"{module}: rank {rank} failed (exit code 1): {_one_line(error)}"
    for rank, code in failures:
        return f"{module}: rank {rank} ended with exit code {code} and gave no reason; its last output may tell"
    lines = agent_log.strip().splitlines() or ["it left no message"]
    return f"{module}: torchrun failed (exit code {exit_code}): {_one_line(lines[-1])}"


def _one_line(text: str) -> str:
    return " ".join(text.split())

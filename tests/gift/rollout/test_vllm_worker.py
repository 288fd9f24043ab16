"""What the process beside a rank asks of vLLM on a GPU; vLLM itself is a record of calls, as no test has a GPU."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gift.rollout.vllm_process import WorkerSettings

WORKER = "gift.rollout.vllm_worker"
REQUESTS: dict[str, dict[str, Any]] = {
    "load": {"weights": "folder"},
    "held": {},
    "complete": {"prompts": [[5]], "seeds": [1], "responses": 2, "max_new_tokens": 4, "temperature": 1.0, "stop": []},
    "rest": {},
}
Ask = Callable[..., list[str]]


class RecordedLLM:
    """An LLM that answers nothing, and keeps what it was asked and started with."""

    def __init__(self, model: str, **settings: Any) -> None:
        self.settings, self.calls = settings, list[str]()
        self.llm_engine = SimpleNamespace(has_unfinished_requests=lambda: False)

    def collective_rpc(self, method: Any, kwargs: Any = None) -> list[list[Any]]:
        self.calls.append(method if isinstance(method, str) else "sums")
        return [[]]

    def reset_prefix_cache(self) -> bool:
        return True

    def enqueue(self, prompts: Any, parameters: Any, use_tqdm: bool) -> None:
        self.calls.append("sample")

    def sleep(self, level: int) -> None:
        self.calls.append(f"sleep {level}")

    def wake_up(self, tags: list[str]) -> None:
        self.calls.append(f"wake {' '.join(tags)}")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The worker of a GPU, started."""
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(LLM=RecordedLLM, SamplingParams=dict))
    module = importlib.import_module(WORKER)
    yield module.VllmWorker(
        WorkerSettings(
            model=Path("model"),
            dtype="bfloat16",
            device="cuda",
            max_tokens=8,
            ends=(1,),
            tensor_parallel=1,
            gpu_memory_share=0.3,
            cpu_cache_gib=0.1,
        )
    )
    del sys.modules[WORKER]


@pytest.fixture
def ask(worker: Any) -> Ask:
    """What vLLM was asked for the requests of a rank."""

    def answer(*requests: str) -> list[str]:
        worker._llm.calls.clear()
        for request in requests:
            list(getattr(worker, request)(**REQUESTS[request]))
        return list(worker._llm.calls)

    return answer


def test_decoding_has_graphs_that_need_no_compiler(worker: Any) -> None:
    assert worker._llm.settings["compilation_config"] == {"mode": "NONE", "cudagraph_mode": "FULL_DECODE_ONLY"}
    assert "enforce_eager" not in worker._llm.settings


def test_it_sleeps_once_a_step_and_its_old_weights_are_never_copied(ask: Ask) -> None:
    step = ["load", "held", "complete", "complete", "complete", "rest"]
    awake = ["reload_weights", "sums", "sample", "sample", "sample", "sleep 2"]
    assert ask(*step) == awake
    assert ask(*step) == ["wake weights", "reload_weights", "sums", "wake kv_cache", *awake[2:]]
    assert ask("rest") == []


def test_nobody_samples_from_weights_that_were_dropped(ask: Ask) -> None:
    with pytest.raises(RuntimeError, match="load new ones before sampling"):
        ask("load", "rest", "complete")

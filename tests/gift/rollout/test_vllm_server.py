"""A real vLLM server on a loopback port: weights are replaced while it runs, and samples are the policy's own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import torch
from transformers import LlamaForCausalLM

from gift.config.surroundings import VLLM_SERVER
from gift.errors import GiftError
from gift.launch.one_node import end_with_parent
from gift.rollout.choose import open_engine
from gift.rollout.vllm_process import vllm_environment
from gift.rollout.vllm_server import VllmServer
from gift.training.engine_check import check_engine, mean_difference
from pipelines.machine.processes import free_ports
from tests.gift.rollout.tiny_models import ENDS, PAD, vllm_config, write_model

CPU = torch.device("cpu")
CONFIG = vllm_config("rollout.vllm.placement=server")
PROMPTS = [[5, 6, 7], list(range(10, 50)), [8]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaForCausalLM]:
    """The model that a server, whose address is in the environment, was started with."""
    folder = tmp_path_factory.mktemp("server")
    policy = write_model(folder, tied=True)
    (port,) = free_ports("127.0.0.1", 1)
    options = (
        f"--model {folder} --host 127.0.0.1 --port {port} --dtype float32 --max-model-len 64 --enforce-eager "
        "--kv-cache-memory-bytes 50000000 --logprobs-mode processed_logprobs --generation-config vllm"
    )
    with (folder / "log").open("wb") as log, pytest.MonkeyPatch.context() as environment:
        server = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *options.split()],
            env=vllm_environment(os.environ, threads=1, gpus=None) | {"VLLM_SERVER_DEV_MODE": "1"},
            stdout=log,
            stderr=log,
            preexec_fn=end_with_parent(os.getpid()),
        )
        try:
            environment.setenv(VLLM_SERVER, f"http://127.0.0.1:{port}")
            wait_until_it_answers(f"http://127.0.0.1:{port}/health", server)
            yield policy
        finally:
            server.terminate()
            server.wait(30)


def wait_until_it_answers(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 180
    while server.poll() is None and time.monotonic() < deadline:
        try:
            requests.get(address, timeout=5).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(0.2)
    raise AssertionError("the server did not start")


def test_a_server_takes_over_new_weights_and_samples_from_them(model: LlamaForCausalLM) -> None:
    with open_engine(CONFIG, Path("unused"), CPU, ends=ENDS, pad=PAD) as engine:
        check_engine(engine, model, PROMPTS, CONFIG.rollout)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += torch.randn_like(parameter) * 0.05
        assert mean_difference(model, engine.sample(PROMPTS, 8, seed=1), 2.0) > 0.05
        engine.refresh(model)
        rollouts = engine.sample(PROMPTS, 8, seed=1)
        assert mean_difference(model, rollouts, 2.0) < 1e-5
        assert torch.equal(rollouts.response_ids, engine.sample(PROMPTS, 8, seed=1).response_ids)
    assert rollouts.prompt_ids[rollouts.prompt_mask].tolist() == [t for p in PROMPTS for _ in range(8) for t in p]
    lengths = rollouts.response_mask.sum(dim=1)
    ended = lengths < 24
    assert ended.any()
    assert set(rollouts.response_ids[ended, lengths[ended] - 1].tolist()) <= set(ENDS)


def test_a_server_that_keeps_old_weights_is_noticed_after_one_small_update(
    model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_engine(CONFIG, Path("unused"), CPU, ends=ENDS, pad=PAD) as engine:
        check = check_engine(engine, model, PROMPTS[:1], CONFIG.rollout)
        with torch.no_grad():
            model.lm_head.weight[0] += 1e-3
        engine.refresh(model)
        check.after_sync()
        monkeypatch.setattr(VllmServer, "load", lambda server, weights: None)
        with torch.no_grad():
            model.lm_head.weight[1] += 1e-3
        engine.refresh(model)
        with pytest.raises(GiftError, match=r"^stale weights: .*; it samples from old weights"):
            check.after_sync()


def test_a_refused_request_gives_the_servers_reason(model: LlamaForCausalLM) -> None:
    server = VllmServer(os.environ[VLLM_SERVER], ends=ENDS, answer_seconds=60)
    with pytest.raises(
        GiftError, match=r"^the vLLM server at .* refused /v1/completions \(400\): .*maximum context .*$"
    ):
        list(server.complete([list(range(10, 90))], [0], 1, 4, temperature=1.0))


def test_without_a_server_the_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VLLM_SERVER, raising=False)
    with pytest.raises(GiftError, match="GIFT_VLLM_SERVER does not say"):
        open_engine(CONFIG, Path("unused"), CPU, ends=ENDS, pad=PAD).__enter__()
    (port,) = free_ports("127.0.0.1", 1)
    monkeypatch.setenv(VLLM_SERVER, f"http://127.0.0.1:{port}")
    with pytest.raises(GiftError, match=rf"http://127.0.0.1:{port} does not answer \(ConnectionError\)"):
        open_engine(CONFIG, Path("unused"), CPU, ends=ENDS, pad=PAD).__enter__()

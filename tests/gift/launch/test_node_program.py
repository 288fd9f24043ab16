"""Two nodes as two process trees on this machine's loopback, with real DeepSpeed ranks, S3 and MLflow.

The same in two containers with addresses of their own: tests/e2e/test_two_nodes.py.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torch
from faulty_proxy import FaultyProxy, FirstRequests
from mlflow import MlflowClient
from safetensors.torch import load_file
from tiny_jobs import Job, own_reward
from tiny_nodes import ROOT, Inputs, composed_weights, start_nodes, submit_job, upload_inputs

from gift import patience
from gift.errors import GiftError
from gift.launch import node_program
from gift.progress import without_time
from gift.storage import read_manifest
from gift.storage.steps import complete_steps
from pipelines.local.services import Services

LONG = ("sft.steps=120", "sft.checkpoint_every=20")
NOTICED_SECONDS = 30


@pytest.fixture(scope="module")
def inputs(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return upload_inputs(tmp_path_factory.mktemp("inputs"), "s3://gift/test-nodes")


def results(nodes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """(exit code, stdout, stderr) of every node, when all have ended."""
    outputs = [node.communicate(timeout=240) for node in nodes]
    return [(node.returncode, *output) for node, output in zip(nodes, outputs, strict=True)]


def losses(run_id: str) -> list[float]:
    return [entry.value for entry in MlflowClient().get_metric_history(run_id, "loss")]


def test_two_nodes_train_the_same_model_as_one(inputs: Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit: the same ranks add the same numbers in the same order, wherever they are. SFT does so below."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{inputs.folder}")
    settings = ("compute.zero_stage=3", "rl.steps=3", own_reward("some_digit"))
    uri, job = submit_job(inputs, tmp_path / "job", "gift.training.rl", "compute.nodes=2", *settings)
    ended = results(start_nodes(uri, nodes=2))
    assert [code for code, _, _ in ended] == [0, 0], ended
    alone = Job(inputs.folder, *settings)
    alone.attempt("gift.training.rl", tmp_path / "alone")
    expected, before = alone.weights(tmp_path / "alone"), load_file(inputs.folder / "base" / "model.safetensors")
    for name, found in composed_weights(job, inputs, tmp_path / "composed").items():
        assert torch.equal(found, expected[name]), name
        assert not torch.equal(found, before[name]), name
    # Metrics and live lines come from rank 0 alone, once.
    assert losses(job.mlflow_run_id) == [value for _, value in alone.history()["loss"]]
    assert ["· gift 3/3" in output for _, output, _ in ended] == [True, False]
    logged = MlflowClient().get_run(job.mlflow_run_id).data.metrics
    assert {f"system/node_{node}/cpu_utilization_percentage" for node in (0, 1)} < set(logged), "of each node its own"


def test_a_node_that_dies_ends_the_job_and_the_next_attempt_goes_on(inputs: Inputs, tmp_path: Path) -> None:
    uri, job = submit_job(inputs, tmp_path / "job", "gift.training.sft", "compute.nodes=2", *LONG)
    first, second = start_nodes(uri, nodes=2)
    wait_until(lambda: complete_steps(job.resume))
    second.kill()  # the kernel kills its agent and its ranks with it
    _, error = first.communicate(timeout=NOTICED_SECONDS)
    assert first.returncode == 1
    assert error.count("\n") == 1
    assert without_time(error).startswith("error: node 1 of 2 (127.0.0.1) was lost: it ended without a word")
    assert read_manifest(job.part(0)) is None

    ended = results(start_nodes(uri, nodes=2))
    assert [code for code, _, _ in ended] == [0, 0], ended
    assert "goes on after step" in ended[0][1]
    assert ["· sft 120/120" in output for _, output, _ in ended] == [True, False]
    alone = Job(inputs.folder, "sft.steps=120")
    alone.attempt("gift.training.sft", tmp_path / "alone")
    expected, before = alone.weights(tmp_path / "alone"), load_file(inputs.folder / "base" / "model.safetensors")
    for name, found in composed_weights(job, inputs, tmp_path / "composed").items():
        assert torch.equal(found, expected[name]), name
        assert not torch.equal(found, before[name]), name


def test_both_nodes_tell_of_the_rank_that_was_killed(inputs: Inputs, tmp_path: Path) -> None:
    """As the kernel does when a node is out of memory; the other node's own rank only sees a connection close."""
    uri, job = submit_job(inputs, tmp_path / "job", "gift.training.sft", "compute.nodes=2", *LONG)
    nodes = start_nodes(uri, nodes=2)
    wait_until(lambda: complete_steps(job.resume))
    children = psutil.Process(nodes[1].pid).children(recursive=True)
    next(child for child in children if child.ppid() != nodes[1].pid).kill()  # a rank, and not its parent
    ended = [(without_time(node.communicate(timeout=NOTICED_SECONDS)[1]), node.returncode) for node in nodes]
    killed = "rank 1 was killed by SIGKILL (exit code -9); the machine may be out of memory"
    assert ended == [(f"error: node 1 of 2: gift.training.sft: {killed}\n", 1)] * 2


@pytest.mark.parametrize(
    ("lost", "ends", "told"),
    [(0, psutil.Process.kill, "it ended without a word"), (1, psutil.Process.suspend, "no sign of life for 3")],
)
def test_a_node_that_is_lost_in_the_middle_of_a_step_ends_the_other_within_a_minute(
    inputs: Inputs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lost: int,
    ends: Callable[[psutil.Process], None],
    told: str,
) -> None:
    """Killed or frozen with its ranks, for which those of the other node would wait half an hour."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{inputs.folder}")
    endless = ("compute.zero_stage=3", "rl.steps=100000", "rl.checkpoint_every=2", own_reward("some_digit"))
    uri, job = submit_job(inputs, tmp_path / "job", "gift.training.rl", "compute.nodes=2", *endless)
    nodes = start_nodes(uri, nodes=2)
    wait_until(lambda: complete_steps(job.resume) != [])
    node = psutil.Process(nodes[lost].pid)
    processes = [node, *node.children(recursive=True)]
    for process in processes:
        ends(process)
    _, error = nodes[1 - lost].communicate(timeout=60)
    assert without_time(error).startswith(f"error: node {lost} of 2 (127.0.0.1) was lost: {told}")
    assert nodes[1 - lost].returncode == 1
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    nodes[lost].communicate()


def test_a_reason_with_control_sequences_is_one_plain_line(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the container's termination message as on stderr: whoever reads the first may print it on a terminal."""
    message = tmp_path / "termination-log"
    message.touch()
    monkeypatch.setattr(node_program, "TERMINATION_MESSAGE", message)
    monkeypatch.setattr(sys, "argv", ["node_program", "s3://gift/\x1b[2Jnodes\n" + 400 * "ü"])
    with pytest.raises(SystemExit):
        node_program.main()
    written = message.read_text()
    assert r"s3://gift/\x1b[2Jnodes\nüü" in written
    assert written.isprintable()
    assert f"error: {written}\n" == capsys.readouterr().err


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_a_store_that_is_away_when_a_node_starts_is_waited_for(
    inputs: Inputs, tmp_path: Path, faulty_store: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, _ = submit_job(inputs, tmp_path / "job", "gift.training.sft")
    faulty_store.fault_of = FirstRequests("away", 3)  # all tries of one request
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.1)
    with pytest.raises(GiftError, match=r"^PET_NODE_RANK.* not set"):  # what it looks at next
        node_program.run_node(uri)
    assert len(faulty_store.faults) == 3

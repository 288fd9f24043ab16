"""A training stage on two nodes, for real but for Kubernetes itself: two containers with addresses of their own.

The stage runs here. It submits its TrainJob to an imitation of Kubernetes' API (there can be no real one here), behind
which Docker runs the nodes in the image that `gift images build --cpu` has made.
"""

import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from docker_nodes import DockerNodes, address_of
from kubernetes_server import kubernetes_cluster
from safetensors.torch import load_file
from tiny_jobs import TINY, own_reward, write_inputs

from gift.config import RunConfig, load_profile
from gift.data.problems import read_problems
from gift.execution.stage import run_stage
from gift.models.base_model import write_base_model
from gift.stages.convert import convert
from gift.stages.train_policy import train_policy
from gift.stages.train_sft import train_sft
from gift.storage import download_directory, list_paths, upload_directory
from gift.tracking import start_parent_run
from pipelines.images.describe import Image
from pipelines.local.docker_runner import local_network
from pipelines.local.services import Services, start_services, stop_services
from pipelines.machine.docker_engine import docker_engine
from pipelines.machine.processes import free_ports

NOTICED_SECONDS = 60
"""From a node's death until the stage has failed; the imitated kubelet's part included."""
WIDE = ("model.hidden_size=256", "model.intermediate_size=512", "model.attention_heads=4")
"""Matrices that ZeRO-3 really cuts up; it leaves small ones whole."""
NODES = ("compute.nodes=2", "compute.ranks=2", "compute.zero_stage=3", "compute.device=cpu")


@pytest.fixture(scope="module")
def image(gift_image: Image) -> str:
    return gift_image.reference


@pytest.fixture(scope="module")
def network_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Services]]:
    """Docker's network for stages, and S3 and MLflow on this machine's address on it."""
    network, host = local_network(hub=False)
    state_dir = tmp_path_factory.mktemp("services")
    s3_port, mlflow_port = free_ports(host, 2)
    with pytest.MonkeyPatch.context() as environment:
        try:
            running = start_services(state_dir, host=host, s3_port=s3_port, mlflow_port=mlflow_port)
            for name, value in running.environment.items():
                environment.setenv(name, value)
            yield network, running
        finally:
            stop_services(state_dir)


@pytest.fixture(scope="module")
def inputs(network_services: tuple[str, Services], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ and base/, here and in the store."""
    folder = write_inputs(tmp_path_factory.mktemp("inputs"))
    folder.chmod(0o755)  # the containers' user reads own_reward.py
    wide, demonstrations = folder / "wide", read_problems(folder / "data" / "sft.jsonl")
    wide.mkdir()
    write_base_model(load_profile("local", (*TINY, *WIDE)), demonstrations, wide)
    upload_directory(wide, "s3://gift/base")
    upload_directory(folder / "data", "s3://gift/data")
    return folder


@pytest.fixture
def nodes(
    network_services: tuple[str, Services], image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DockerNodes]:
    network, services = network_services
    folder = tmp_path / f"gift-test-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    with docker_engine() as engine, kubernetes_cluster() as cluster:
        location = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
        monkeypatch.setattr(location, str(cluster.kubeconfig(tmp_path / "kubeconfig")))
        monkeypatch.setenv("GIFT_IMAGE", image)
        running = DockerNodes(cluster, engine, network, dict(services.environment), folder)
        try:
            yield running
        finally:
            running.remove_all()


class Run:
    """A pipeline run of which single stages are run."""

    def __init__(self, *settings: str) -> None:
        self.config: RunConfig = load_profile("local", (*TINY, *WIDE, *settings))
        self._run_id = uuid.uuid4().hex
        self._parent = start_parent_run(self.config, self._run_id)

    def stage(self, function: Callable[..., str], **inputs: str) -> str:
        return run_stage(
            function,
            config=self.config.model_dump_json(),
            run_id=self._run_id,
            parent_run_id=self._parent,
            **inputs,
        )

    def wait_for_checkpoint(self) -> None:
        """Until node 1 has stored its part of one to go on from."""
        wait_until(lambda: any("node-1-of-2/manifest.json" in path for path in self.stored()))

    def stored(self) -> list[str]:
        """The paths of the run's own files in the store."""
        return list_paths(f"s3://gift/runs/{self._run_id}")

    def weights(self, checkpoint: str, folder: Path) -> dict[str, torch.Tensor]:
        download_directory(self.stage(convert, checkpoint=checkpoint, model="s3://gift/base"), folder)
        return load_file(folder / "model.safetensors")


def test_gift_on_two_containers_trains_what_one_machine_trains(
    nodes: DockerNodes, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """ZeRO-3, one rank per container. Bit for bit, unless torch here is another build than the image's."""
    monkeypatch.setenv("PYTHONPATH", str(inputs))
    nodes.reward_folder = inputs
    settings = (own_reward("some_digit"), "rl.steps=3", "rl.optimizer={learning_rate: 1.0e-3}")
    two = Run(*settings, *NODES)
    checkpoint = two.stage(train_policy, data="s3://gift/data", model="s3://gift/base")
    output = capfd.readouterr().out
    assert "node 0 of 2: all are here, network interface eth0" in output
    assert "· gift 3/3" in output
    assert list_paths("s3://gift/runs") == []  # job, parts and resume points are gone

    one = Run(*settings, "compute.ranks=2", "compute.zero_stage=3")
    alone = one.stage(train_policy, data="s3://gift/data", model="s3://gift/base")
    expected = one.weights(alone, tmp_path / "one")
    before = load_file(inputs / "wide" / "model.safetensors")
    for name, found in two.weights(checkpoint, tmp_path / "two").items():
        torch.testing.assert_close(found, expected[name], rtol=0, atol=1e-6, msg=name)
        assert not torch.equal(found, before[name]), name


def test_a_container_that_is_killed_fails_the_stage_and_a_retry_goes_on(
    nodes: DockerNodes, inputs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Run("sft.steps=200", "sft.checkpoint_every=20", *NODES)
    ended: list[float] = []

    def kill() -> None:
        run.wait_for_checkpoint()
        nodes.containers[1].kill()
        ended.append(time.monotonic())

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(SystemExit):
        run.stage(train_sft, data="s3://gift/data", model="s3://gift/base")
    killer.join()
    assert time.monotonic() - ended[0] < NOTICED_SECONDS
    error = capfd.readouterr().err
    assert "error: node 1 of 2" in error
    assert "was lost: it ended without a word" in error
    assert "OOMKilled (exit code 137)" in error
    assert not address_of(error).startswith("127.")

    run.stage(train_sft, data="s3://gift/data", model="s3://gift/base")
    output = capfd.readouterr().out
    assert "goes on after step" in output
    assert "· sft 200/200" in output


def test_a_container_that_is_asked_to_stop_says_so(
    nodes: DockerNodes, inputs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As its first process, which the kernel spares signals that it does not wait for."""

    run = Run("sft.steps=2000", "sft.checkpoint_every=20", *NODES)

    def stop() -> None:
        run.wait_for_checkpoint()
        nodes.containers[1].kill(signal="SIGTERM")

    threading.Thread(target=stop).start()
    with pytest.raises(SystemExit):
        run.stage(train_sft, data="s3://gift/data", model="s3://gift/base")
    said = re.search(r"node 1 (?:of 2: )?was told to stop \(SIGTERM\) after step (\d+) of 2000", capfd.readouterr().err)
    assert said is not None
    assert any(f"/step-{said[1]}/node-1-of-2/manifest.json" in path for path in run.stored()), "of the step it was at"


def wait_until(condition: Callable[[], bool], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)

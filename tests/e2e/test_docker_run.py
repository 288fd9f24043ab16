"""The whole pipeline in containers, with a tiny budget: hardened, offline, and with the secrets nowhere but in memory.

The services listen on this machine's address on the containers' network; everything is started here but the image.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler
from mlflow import MlflowClient
from tiny_settings import TINY_MODEL

from gift.config import load_profile
from gift.report.schema import load_report
from pipelines.images.describe import Image
from pipelines.local.container_traces import LABEL
from pipelines.local.docker_runner import PROCESSES, container_settings, containers, local_network
from pipelines.local.runner import OUTBOX
from pipelines.local.services import Services, start_services, stop_services
from pipelines.machine.docker_engine import docker_engine
from pipelines.machine.processes import free_ports

pytestmark = pytest.mark.timeout(1800)  # the first test builds the image, beside others that work

TINY = (
    "registered_model=gift-docker",
    "experiment=gift-docker",
    *TINY_MODEL,
    "data.sft=400",
    "data.train=100",
    "data.heldout=8",
    "sft.steps=2",
    "sft.optimizer.warmup_steps=1",
    "rl.steps=1",
    "rl.prompts_per_step=2",
    "rollout.group_size=4",
    "rollout.max_new_tokens=8",
    "evaluation.benchmarks.0.max_new_tokens=8",
    "evaluation.benchmarks.1.max_new_tokens=8",
)
PROFILE_STAGES = 15


@dataclass
class Watched:
    """What the engine said about each container of a run while it was there."""

    settings: dict[str, dict[str, Any]] = field(default_factory=dict)

    def look(self, run_folders: Path) -> None:
        labels = [f"{LABEL}={folder.name}" for folder in run_folders.glob("2*")]
        with docker_engine() as engine:
            for label in labels:
                for container in engine.containers.list(all=True, filters={"label": label}, ignore_removed=True):
                    self.settings[container.id] = container.attrs


@dataclass(frozen=True)
class Finished:
    output: str
    folder: Path
    containers: list[dict[str, Any]]


@pytest.fixture(scope="module")
def docker_services(gift_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Local services of this file's own, where containers reach them."""
    state_dir = tmp_path_factory.mktemp("docker-services")
    _, host = local_network(hub=False)
    s3_port, mlflow_port = free_ports(host, 2)
    try:
        yield start_services(state_dir, host=host, s3_port=s3_port, mlflow_port=mlflow_port)
    finally:
        stop_services(state_dir)


def start(services: Services, runs: Path, *overrides: str) -> subprocess.Popen[str]:
    """`gift run --runner docker`, with the environment of a user who has set nothing."""
    sets = [word for override in (*TINY, *overrides) for word in ("--set", override)]
    folders = ["--runs", str(runs), "--state-dir", str(services.state_dir)]
    command = [sys.executable, "-m", "pipelines.cli", "run", "--profile", "local", "--runner", "docker"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MLFLOW_"))}
    return subprocess.Popen(
        [*command, *folders, *sets], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def left_behind(run_id: str) -> list[str]:
    with docker_engine() as engine:
        return [
            container.name for container in engine.containers.list(all=True, filters={"label": f"{LABEL}={run_id}"})
        ]


def mlflow_client(services: Services) -> MlflowClient:
    return MlflowClient(tracking_uri=services.environment["MLFLOW_TRACKING_URI"])


@pytest.fixture(scope="module")
def finished(docker_services: Services, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    runs = tmp_path_factory.mktemp("docker-runs")
    watched, over = Watched(), threading.Event()

    def watch() -> None:
        while not over.wait(0.3):
            watched.look(runs)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with start(docker_services, runs) as process:
            output, errors = process.communicate(timeout=1500)
    finally:
        over.set()
        watcher.join()
    assert process.returncode == 0, output + errors
    return Finished(output + errors, (runs / "latest").resolve(), list(watched.settings.values()))


def test_every_stage_ran_in_a_hardened_container(finished: Finished, gift_image: Image) -> None:
    assert len(finished.containers) == PROFILE_STAGES
    for container in finished.containers:
        assert container["Image"] == gift_image.id
        assert container["Config"]["User"] == ("1000:1000" if os.getuid() == 0 else f"{os.getuid()}:{os.getgid()}")
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert host["CapAdd"] is None
        assert host["Privileged"] is False
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["NetworkMode"] == "gift"
        assert 0 < host["Memory"] == host["MemorySwap"]
        assert host["PidsLimit"] == PROCESSES
        assert container["Config"]["Image"] == f"gift:{finished.folder.name}", "a name that no other build takes away"
        writable = {mount["Destination"] for mount in container["Mounts"] if mount["RW"]}
        ours = {"/work", str(finished.folder / "kfp"), str(finished.folder.parent / OUTBOX)}
        assert writable == {*ours, "/kfp-workspace"}  # which is kfp's own, unused
    assert left_behind(finished.folder.name) == []


def test_the_same_settings_give_no_rights_and_no_way_out(
    finished: Finished, gift_image: Image, docker_services: Services, tmp_path: Path
) -> None:
    script = (
        "import os, socket\n"
        "print(os.getuid() or 'root', [line for line in open('/proc/self/status') if line.startswith('CapEff')])\n"
        "for folder in ('/', '/etc', '/opt/venv', '/var/tmp', os.getcwd()):\n"
        "    print(folder, os.access(folder, os.W_OK))\n"
        "print('tmp', os.access('/tmp', os.W_OK))\n"
        f"services = ('{docker_services.host}', {docker_services.mlflow_port})\n"
        "print('services', socket.create_connection(services, 5) and 1)\n"
        "try:\n"
        "    socket.create_connection(('1.1.1.1', 443), 3)\n"
        "except OSError as error:\n"
        "    print('no way out')\n"
    )
    settings = container_settings(load_profile("local", TINY), "probe", gift_image, "gift", tmp_path)
    with docker_engine() as engine:
        output = engine.containers.run(gift_image.reference, ["python", "-c", script], remove=True, **settings).decode()
    assert "root" not in output
    assert "CapEff:\\t0000000000000000" in output
    assert output.count("False") == 5
    assert "tmp True" in output
    assert "services 1" in output
    assert output.endswith("no way out\n")


def test_the_report_says_which_image_and_commit_ran(finished: Finished, gift_image: Image) -> None:
    facts = load_report(finished.folder / "report.json").provenance
    assert facts["image_digest"] == gift_image.id
    assert facts["git_sha"] == gift_image.git_sha
    assert facts["torch"].endswith("+cpu")


def test_the_secrets_are_in_no_file_parameter_or_pipeline(
    finished: Finished, docker_services: Services, gift_image: Image, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secrets = [value for name, value in docker_services.environment.items() if name.endswith(("KEY", "KEY_ID"))]
    assert len(secrets) == 2
    ir = tmp_path / "pipeline.yaml"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    compiler.Compiler().compile(containers(load_profile("local", TINY), "a-run").pipeline, str(ir))
    files = [path for path in finished.folder.rglob("*") if path.is_file()]
    assert {"run.log", "report.json", "report.html", "config.json", "executor_output.json"} <= {p.name for p in files}
    texts = {str(path): path.read_text(errors="replace") for path in (*files, ir)} | {"output": finished.output}
    client = mlflow_client(docker_services)
    experiment = client.get_experiment_by_name("gift-docker")
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) > PROFILE_STAGES - 3
    texts |= {run.info.run_name: json.dumps(run.to_dictionary()) for run in runs}
    for place, text in texts.items():
        assert not [secret for secret in secrets if secret in text], place


def test_sigterm_ends_the_containers_and_says_so_to_mlflow(docker_services: Services, tmp_path: Path) -> None:
    with start(docker_services, tmp_path, "sft.steps=1000000") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if "sft " in line:
                break
        (folder,) = tmp_path.glob("2*")
        assert len(left_behind(folder.name)) == 1
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert "interrupted" in process.stderr.read()
    assert process.returncode == 130
    assert left_behind(folder.name) == []
    assert not list(folder.glob(".work-*"))
    client = mlflow_client(docker_services)
    experiment = client.get_experiment_by_name("gift-docker")
    (parent,) = client.search_runs([experiment.experiment_id], f"tags.`gift.run_id` = '{folder.name}'")
    assert parent.info.status == "FAILED"


def test_a_stage_that_needs_more_memory_than_allowed_is_told_so(docker_services: Services, tmp_path: Path) -> None:
    limits = [f"cluster.{kind}.memory_gib=0.05" for kind in ("light", "model", "training")]
    with start(docker_services, tmp_path, *limits, "cluster.shared_memory_gib=0.01") as process:
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "it ran out of memory: a container of this run may use 0.05 GiB" in errors
    assert "Traceback" not in errors


def test_running_services_elsewhere_are_not_taken_over(gift_image: Image, tmp_path: Path) -> None:
    s3_port, mlflow_port = free_ports("127.0.0.1", 2)
    try:
        services = start_services(tmp_path / "state", s3_port=s3_port, mlflow_port=mlflow_port)
        with start(services, tmp_path / "runs") as process:
            _, errors = process.communicate(timeout=300)
    finally:
        stop_services(tmp_path / "state")
    assert process.returncode == 1
    assert "listen on 127.0.0.1, and here they are needed on" in errors
    assert "run `gift down` first" in errors

"""What a killed run leaves of its containers: they end, and go, with their image's name and their work folder.

The stage is a program that sleeps, in an image that holds nothing else.
"""

import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from gift.config import load_profile
from gift.tracking import start_parent_run
from gift.tracking.client import MlflowClient
from pipelines.cli.main import app
from pipelines.local.container_traces import LABEL, image_name
from pipelines.local.live_run import LIVE_FILE
from pipelines.local.services import Services
from pipelines.machine.docker_engine import docker_engine

SLEEP = Path("/bin/sleep")
IMAGE = "gift-test-sleep:1"
RUN = """
import os, sys
from pathlib import Path
from kfp import dsl
from gift.config import parse_config
from types import SimpleNamespace
from pipelines.local import docker_runner
from pipelines.local.container_traces import image_name
from pipelines.local.runner import run_stages

folder, image_id, tracker = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
config = parse_config((folder / "config.json").read_text())

@dsl.container_component
def sleeping_stage():
    return dsl.ContainerSpec(image=image_name(folder.name), command=["/bin/sleep"], args=["600"])

@dsl.pipeline
def sleeping(config: str, run_id: str):
    sleeping_stage()

docker_runner.built_image = lambda _name: SimpleNamespace(id=image_id)
runner = docker_runner.containers(config, folder.name)
os.environ["MLFLOW_TRACKING_URI"] = tracker
run_stages(sleeping, config, folder.name, folder, runner)
"""


@pytest.fixture(scope="module")
def sleeping_image(needs_docker: None) -> Iterator[str]:
    """Its id."""
    libraries = re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", SLEEP], capture_output=True, text=True).stdout)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        for path in (str(SLEEP), *libraries):
            tar.add(path)
    with docker_engine() as engine:
        engine.api.import_image_from_data(archive.getvalue(), *IMAGE.split(":"))
        yield engine.images.get(IMAGE).id
        engine.images.remove(IMAGE)


class SleepingRun:
    """A run in a process of its own, as `gift run --runner docker` has it, whose only stage sleeps."""

    def __init__(self, runs: Path, image: str) -> None:
        self.run_id = f"run-{uuid.uuid4().hex}"
        self.folder = runs / self.run_id
        self.folder.mkdir(parents=True)
        config = load_profile("local", ("experiment=test-killed-containers",))
        (self.folder / "config.json").write_text(config.model_dump_json())
        self.mlflow_run = start_parent_run(config, self.run_id)
        environment = dict(os.environ)
        tracker = environment.pop("MLFLOW_TRACKING_URI")
        with (runs / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN, str(self.folder), image, tracker],
                env=environment,
                stdout=output,
                stderr=output,
            )
        if not within(120, lambda: self.containers() == ["running"]):
            self.process.kill()
            pytest.fail((runs / "output").read_text())

    def containers(self) -> list[str]:
        """Their states."""
        with docker_engine() as engine:
            found = engine.containers.list(all=True, filters={"label": f"{LABEL}={self.run_id}"}, ignore_removed=True)
            return [container.status for container in found]

    def kill(self, *, with_watcher: bool) -> None:
        (watcher,) = [
            child
            for child in psutil.Process(self.process.pid).children()
            if "pipelines.local.watcher" in child.cmdline()
        ]
        if with_watcher:
            watcher.send_signal(signal.SIGKILL)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def is_put_away(self) -> bool:
        with docker_engine() as engine:
            named = engine.images.list(filters={"reference": image_name(self.run_id)})
        left = [*self.folder.glob(".work-*"), *self.folder.glob(LIVE_FILE)]
        return not self.containers() and not named and not left


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)
    return condition()


@pytest.mark.parametrize("with_watcher", [False, True], ids=["alone", "with its watcher"])
def test_a_run_that_is_killed_leaves_no_container(
    services: Services, sleeping_image: str, tmp_path: Path, with_watcher: bool
) -> None:
    run = SleepingRun(tmp_path, sleeping_image)
    run.kill(with_watcher=with_watcher)
    if with_watcher:
        assert run.containers() == ["running"], "the engine is its parent"
        cleaned = CliRunner().invoke(app, ["runs", "clean", "--runs", str(tmp_path)])
        assert f"closed      {run.run_id}, which was killed" in cleaned.output
        assert run.is_put_away()
    else:
        assert within(30, run.is_put_away)
    assert MlflowClient().get_run(run.mlflow_run).status == "KILLED"

"""Fixtures that more than one test file needs: the real S3 and MLflow servers, and the image of the stages.

Each is there once for the whole session. Without a Docker engine, or a base image, tests of the image are skipped with
the reason; where CI is set, they fail.
"""

import functools
import gc
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NoReturn

# Read when torch, the hub client and MLflow are imported, so set before anything else is.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import pytest
from faulty_proxy import FaultyProxy, faulty_proxy
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from gift.errors import GiftError
from pipelines.images.describe import Image, built_image
from pipelines.local.server_commands import HOST
from pipelines.local.services import Services, start_services, stop_services
from pipelines.machine.docker_engine import docker_engine
from pipelines.machine.processes import free_ports

# A test that uses one of these starts servers, containers, ranks or vLLM, and is marked `slow` for it.
SLOW_FIXTURES = {"services", "needs_docker"}
SLOW_MODULES = {
    "tiny_jobs",
    "tiny_llamas",
    "gift.launch.one_node",
    "gift.rollout.vllm_process",
    "pipelines.local.services",
}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What collection imports stays, and looking for cycles in it takes a third of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make check` leaves out what is marked `slow`: for what a test or its file uses, or by hand."""
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        used = {getattr(thing, "__module__", None) for thing in vars(item.module).values()}
        if SLOW_FIXTURES & set(item.fixturenames) or SLOW_MODULES & used:
            item.add_marker(pytest.mark.slow)
        if _uses_docker(item.path):
            item.add_marker(pytest.mark.docker)


@functools.cache
def _uses_docker(test_file: Path) -> bool:
    return re.search(r"\b(needs_docker|gift_image)\b", test_file.read_text(encoding="utf-8")) is not None


class ScopesOfTests(LoadFileScheduling):
    """What runs in one process, one after the other: the tests of a file, as they share what it sets up, and all tests
    with Docker, as the engine has one image and one network for all."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "docker" if _uses_docker(self.config.rootpath / file) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ScopesOfTests | None:
    return ScopesOfTests(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """SeaweedFS and MLflow on free ports; the environment points to them until the session ends."""
    state_dir = tmp_path_factory.mktemp("services")
    s3_port, mlflow_port = free_ports(HOST, 2)
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            environment.delenv(name)
        try:
            running = start_services(state_dir, s3_port=s3_port, mlflow_port=mlflow_port)
            for name, value in running.environment.items():
                environment.setenv(name, value)
            yield running
        finally:
            stop_services(state_dir)


@pytest.fixture
def bucket_prefix(services: Services) -> str:
    """An `s3://` prefix that no other test uses."""
    return f"s3://gift/test-{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def needs_docker() -> None:
    """A Docker engine answers."""
    try:
        with docker_engine():
            pass
    except GiftError as error:
        _skip_or_fail(str(error))


@pytest.fixture(scope="session")
def gift_image(needs_docker: None) -> Image:
    """The CPU image of this checkout, built by the command line (quick when it is up to date)."""
    build = [sys.executable, "-m", "pipelines.cli", "images", "build", "--cpu"]
    built = subprocess.run(build, capture_output=True, text=True, check=False)
    if "and cannot be pulled" in built.stderr:
        _skip_or_fail(built.stderr)
    assert built.returncode == 0, built.stdout + built.stderr
    return built_image("gift")


def _skip_or_fail(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def faulty_store(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """S3 with faults on order, as this process sees it; MLflow's own way to its files has none."""
    with faulty_proxy(services.s3_port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{proxy.port}")
        yield proxy

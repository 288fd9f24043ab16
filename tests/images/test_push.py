"""`gift images build --push` against a real registry, with a Dockerfile of three lines instead of the stages' image."""

import hashlib
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from gift.config import load_profile
from pipelines.cli.main import app
from pipelines.images.build import SBOM
from pipelines.images.describe import read_image
from pipelines.kubeflow.compile import compile_pipeline
from pipelines.machine.docker_engine import docker_engine
from pipelines.machine.processes import free_ports

BASE = os.environ.get("GIFT_IMAGE_BASE", "python:3.11-slim-bookworm")


@pytest.fixture
def registry(tmp_path: Path, needs_docker: None) -> Iterator[str]:
    """The address of an empty registry; `.ci/registry` installs the program."""
    program = shutil.which("docker-registry")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("there is no docker-registry on PATH")
    (port,) = free_ports("127.0.0.1", 1)
    address = f"127.0.0.1:{port}"
    settings = {
        "version": 0.1,
        "http": {"addr": address},
        "storage": {"filesystem": {"rootdirectory": f"{tmp_path}/r"}},
    }
    (tmp_path / "registry.yaml").write_text(yaml.safe_dump(settings))
    with (tmp_path / "registry.log").open("wb") as log:
        server = subprocess.Popen([program, "serve", tmp_path / "registry.yaml"], stdout=log, stderr=log)
    try:
        yield address
    finally:
        server.terminate()
        server.wait()


def build(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["images", "build", "--base", BASE, *arguments])
    return result.exit_code, result.output


def test_what_is_pushed_can_be_pulled_and_compiled_by_the_digest_that_is_printed(checkout: Path, registry: str) -> None:
    code, output = build("--push", registry, "--tag", "v1")
    image = read_image("gift")
    assert code == 0, output
    assert image is not None
    assert image.digest is not None
    assert f"digest      {image.digest}" in output
    name, _, digest = image.digest.partition("@")
    assert name == f"{registry}/gift"
    with urllib.request.urlopen(f"http://{registry}/v2/gift/manifests/{digest}") as manifest:
        assert f"sha256:{hashlib.sha256(manifest.read()).hexdigest()}" == digest
    with docker_engine() as engine:
        engine.images.remove(f"{registry}/gift:v1")
        pulled = engine.images.pull(image.digest)
        engine.images.remove(image.digest)
    assert pulled.labels["gift.source-digest"] == image.source_digest
    assert image.digest in compile_pipeline(load_profile("local"), image.digest)


def test_a_push_that_fails_is_one_line_and_leaves_no_record(checkout: Path, registry: str) -> None:
    (port,) = free_ports("127.0.0.1", 1)
    code, output = build("--push", f"127.0.0.1:{port}")
    assert code == 1
    assert f"error: pushing 127.0.0.1:{port}/gift:gpu failed: " in output
    assert output.count("\n") == 1
    assert read_image("gift") is None
    assert not (checkout / "images" / "built" / "gift" / SBOM).exists()
    with docker_engine() as engine:
        engine.images.remove(f"127.0.0.1:{port}/gift:gpu")


def test_an_option_from_an_empty_variable_is_refused(checkout: Path) -> None:
    for option in ("--push", "--tag", "--base"):
        code, output = build(option, "")
        assert (code, output.count("\n")) == (1, 1)
        assert f"error: {option} is empty" in output

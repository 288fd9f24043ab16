"""A CPU image gets the build of torch that there is, and says which."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_wheels import wheel
from typer.testing import CliRunner

from pipelines.cli.main import app
from pipelines.images import build as image_build
from pipelines.images.build import BuildOptions
from pipelines.images.describe import Image
from pipelines.install.torch_build import torch_pin
from pipelines.machine.docker_engine import docker_engine

BASE = os.environ.get("GIFT_IMAGE_BASE", "python:3.11-slim-bookworm")
TAG = "torch-test"


@pytest.fixture
def image_name(needs_docker: None) -> Iterator[str]:
    yield f"gift:{TAG}"
    with docker_engine() as engine:
        engine.images.remove(f"gift:{TAG}")


@pytest.fixture
def no_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment as uv makes it: whatever runs `python -m pip` ends."""
    (tmp_path / "fake" / "pip").mkdir(parents=True)
    (tmp_path / "fake" / "pip" / "__init__.py").write_text("raise ModuleNotFoundError('No module named pip')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))


def build() -> str:
    built = CliRunner().invoke(app, ["images", "build", "--cpu", "--base", BASE, "--tag", TAG])
    assert built.exit_code == 0, built.output
    return built.output


def test_without_a_cpu_build_the_image_is_made_all_the_same_until_there_is_one(
    checkout: Path, image_name: str, no_pip: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    first = build()
    assert "torch: the registry's build\n" in first
    assert f"built       {image_name}" in first
    assert "up to date" in build()
    wheel(tmp_path / "wheels", "torch", torch_pin().removeprefix("torch==") + "+cpu")
    assert f"built       {image_name}" in build()
    with docker_engine() as engine:
        engine.images.remove(re.findall(r"sha256:\w+", first)[0])


def test_in_a_build_the_real_chooser_answers_with_and_without_the_folder(
    gift_image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stages' own Dockerfile up to the answer; what follows it takes gigabytes where there is no folder."""
    ca = os.environ.get("GIFT_IMAGE_CA")
    options = BuildOptions("cpu", BASE, Path(ca) if ca else None)
    labels = {
        "org.opencontainers.image.base.digest": "",
        "org.opencontainers.image.revision": "",
        "gift.foundation-digest": "",
        "gift.lock-digest": "",
        "gift.source-digest": "",
    }

    def answer(folder: Path, context: Path) -> tuple[str, list[str]]:
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
        context.mkdir()
        image_build._stage("gift", context)
        command = image_build._build_command(image_build.buildkit_client(), "gift", options, labels, context)
        lines: list[str] = []
        return image_build._ask_for_torch(command, context, tmp_path / "log", lines.append), lines

    wheel(tmp_path / "wheels", "torch", torch_pin().removeprefix("torch==") + "+cpu")
    assert answer(tmp_path / "wheels", tmp_path / "with") == (
        "cpu",
        ["torch: the CPU build, from where pip is told to look"],
    )
    kind, lines = answer(tmp_path, tmp_path / "without")
    cuda = "torch: the registry's build for CUDA, which with its libraries takes"
    assert (kind, lines[0].startswith(cuda)) in {("cuda", True), ("cpu", False)}
    assert kind == "cuda" or lines == ["torch: the CPU build, from PyTorch's index"]


def test_a_damaged_configuration_of_pip_is_one_line(
    checkout: Path, needs_docker: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.conf").write_text("index-url = https://packages.example\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    built = CliRunner().invoke(app, ["images", "build", "--cpu", "--base", BASE, "--tag", TAG])
    assert built.exit_code == 1
    assert "error: cannot build image gift: a configuration file of pip is damaged" in built.output

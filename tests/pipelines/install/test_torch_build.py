"""Which build of torch a machine gets: the real uv, with and without a folder, PyTorch's index or a GPU."""

import re
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from tiny_wheels import served, simple_index, wheel

from pipelines.install.torch_build import torch_build, torch_pin
from pipelines.install.uv import uv_command, uv_environment

VERSION = torch_pin().removeprefix("torch==")
CPU = ["--no-deps", f"torch=={VERSION}+cpu"]
CUDA = ["--require-hashes", "--requirement", "requirements/torch.txt", "--constraint", "requirements/gpu.txt"]


def chosen(*arguments: str) -> tuple[list[str], str]:
    """What the Makefile and the Dockerfile read: arguments for uv, and the line for a person."""
    program = [sys.executable, "-m", "pipelines.install.torch_build", *arguments]
    ended = subprocess.run(program, capture_output=True, text=True, check=True)
    return ended.stdout.split(), ended.stderr


def gpus(folder: Path, listed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver's program that lists these."""
    folder.mkdir()
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\necho '{listed}'\n")
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every index is behind a proxy that is not there."""
    monkeypatch.setenv("PIP_PROXY", "http://127.0.0.1:9")


def test_the_cpu_build_comes_from_a_folder(tmp_path: Path, cut_off: None, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(tmp_path / "wheels", "torch", f"{VERSION}+cpu")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    arguments, line = chosen("--cpu")
    assert arguments == CPU
    assert line == "torch: the CPU build, from where pip is told to look\n"


@pytest.mark.parametrize("version", ["0.1+cpu", VERSION])
def test_another_build_in_the_folder_is_not_it(
    version: str, tmp_path: Path, cut_off: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(tmp_path / "wheels", "torch", version)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    assert torch_build(gpu=False).arguments == CUDA


def test_the_cpu_build_comes_from_pytorchs_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for it, which a proxy leads to."""
    simple_index(tmp_path / "site" / "whl" / "cpu", "torch", f"{VERSION}+cpu")
    with served(tmp_path / "site", tmp_path / "keys", "download.pytorch.org", "pypi.org", behind_tls=False) as proxy:
        monkeypatch.setenv("PIP_PROXY", f"http://{proxy.address}")
        monkeypatch.setenv("PIP_CERT", str(proxy.ca))
        arguments, line = chosen("--cpu")
    assert arguments == ["--torch-backend", "cpu", *CPU]
    assert line == "torch: the CPU build, from PyTorch's index\n"


def test_a_machine_with_a_gpu_gets_the_registrys_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(tmp_path / "bin", "GPU 0: NVIDIA H100 (UUID: GPU-1)", monkeypatch)
    wheel(tmp_path / "wheels", "torch", f"{VERSION}+cpu")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    arguments, line = chosen()
    assert arguments == CUDA
    assert line == "torch: the registry's build for CUDA, as this machine has a GPU\n"
    assert chosen("--cpu")[0] == CPU, "the CPU image is for machines without"


def test_a_driver_without_a_gpu_is_none(tmp_path: Path, cut_off: None, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(tmp_path / "bin", "No devices were found", monkeypatch)
    assert "PyTorch's index of CPU builds does not answer" in chosen()[1]


@pytest.mark.slow
def test_an_index_that_swallows_the_question_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PIP_PROXY", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        arguments, line = chosen("--cpu")
    assert arguments == CUDA
    assert re.search(r"takes \d\.\d GB more: the CPU build is nowhere", line)
    assert time.monotonic() - started < 30


def test_what_the_registry_has_is_what_gpu_txt_pins() -> None:
    """As `uv pip install` would find it, file by file, without its three gigabytes."""
    locked = Path("requirements/gpu.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    pins = {line.split()[0]: set(re.findall(r"sha256:(\w+)", line)) for line in locked.splitlines()}
    files = ["requirements/torch.txt", "--constraint", "requirements/gpu.txt", "--constraint", "requirements/cpu.txt"]
    command = uv_command(["pip", "compile", "--quiet", *files, "--format", "pylock.toml", "--python", sys.executable])
    resolved = subprocess.run(command, env=uv_environment(), capture_output=True, text=True, check=False)
    assert resolved.returncode == 0, resolved.stderr
    packages = tomllib.loads(resolved.stdout)["packages"]
    assert {"torch", "triton", "nvidia-cublas", "nvidia-nccl-cu13"} <= {package["name"] for package in packages}
    for package in packages:
        served_hashes = {made["hashes"]["sha256"] for made in package["wheels"]}
        assert served_hashes & pins[f"{package['name']}=={package['version']}"], package["name"]

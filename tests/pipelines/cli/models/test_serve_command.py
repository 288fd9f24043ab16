"""`gift serve`: mistakes in one line, the YAML of a cluster, and a real `vllm serve` that answers a question."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
import yaml
from kserve_objects import validate_inference_service
from stored_objects import delete_object
from stored_versions import StoredVersions
from typer.testing import CliRunner

from pipelines.cli.main import app
from pipelines.machine.processes import free_ports
from tests.gift.rollout.tiny_models import write_model

HOST = "127.0.0.1"


@pytest.fixture
def versions(bucket_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredVersions:
    monkeypatch.chdir(tmp_path)
    return StoredVersions(bucket_prefix, tmp_path / "stored")


def gift(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return (
        result.exit_code,
        result.stdout,
        result.stderr.replace("using the MLflow and S3 servers that the environment names\n", ""),
    )


def promote(versions: StoredVersions, version: str) -> None:
    status, _, fault = gift("promote", versions.name, "--version", version, "--reason", "a test")
    assert status == 0, fault


def test_the_service_is_of_the_champions_version_and_not_of_its_alias(versions: StoredVersions) -> None:
    first = versions.add()
    source = versions.source
    versions.add()
    promote(versions, first)
    options = ("--profile", "local", "--set", f"registered_model={versions.name}")
    status, printed, fault = gift("serve", versions.name, *options)
    assert status == 0, fault
    assert f"{versions.name} version {first}" in printed
    _, item = yaml.safe_load_all(Path("inference-service.yaml").read_text())
    service = validate_inference_service(item)
    assert service.spec.predictor.model.storageUri == source
    assert service.metadata.labels["app.kubernetes.io/version"] == first


def test_a_mistake_is_one_line_and_writes_nothing(versions: StoredVersions, tmp_path: Path) -> None:
    version, name = versions.add(), versions.name
    own = ("--profile", "local", "--set", f"registered_model={name}")
    port = str(free_ports(HOST, 1)[0])
    cases = [
        (("serve", name), "say with --profile"),
        (("serve", name, *own, "--port", port), "--port is for --local; leave it out"),
        (("serve", name, "--local", *own), "--profile is for a cluster"),
        (("serve", name, "--local", "--output", "x.yaml"), "--output is for a cluster"),
        (("serve", name, "--profile", "local"), "profile local is one of gift-local, and not of"),
        (("serve", "nobody's", "--local"), "MLflow has no registered model"),
        (("serve", name, *own), "has no champion to serve; `gift promote"),
        (("serve", name, "--local"), "has no champion to serve"),
    ]
    for arguments, message in cases:
        status, printed, fault = gift(*arguments)
        assert (status, printed) == (1, ""), arguments
        assert message in fault
        assert fault.count("\n") == 1
    promote(versions, version)
    delete_object(f"{versions.source}/model-a.safetensors")
    for arguments in (("serve", name, *own), ("serve", name, "--local", "--port", port)):
        status, _, fault = gift(*arguments)
        assert status == 1
        assert "is not there, or not whole" in fault
    assert not list(tmp_path.glob("*.yaml"))


@pytest.fixture
def own_places() -> Iterator[dict[str, str]]:
    """Where programs put what they leave behind: `HOME` and `TMPDIR`, whose names are short enough for sockets."""
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as scratch:
        yield {"HOME": home, "TMPDIR": scratch}


def test_vllm_serve_answers_a_question_and_leaves_nothing_behind(
    versions: StoredVersions, own_places: dict[str, str], tmp_path: Path
) -> None:
    write_model(tmp_path / "model", tied=True)
    promote(versions, versions.add_folder(tmp_path / "model"))
    (port,) = free_ports(HOST, 1)
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", "serve", versions.name, "--local", "--port", str(port)],
            env=os.environ | own_places | {"PYTHONPATH": str(Path(__file__).parents[4])},
            stdout=log,
            stderr=log,
        )
    try:
        address = f"http://{HOST}:{port}/v1"
        deadline = time.monotonic() + 600
        while "answers on" not in (tmp_path / "log").read_text():
            assert server.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.5)
        assert [model["id"] for model in requests.get(f"{address}/models", timeout=30).json()["data"]] == [
            versions.name
        ]
        question = {"model": versions.name, "prompt": "5 6 7", "max_tokens": 8, "temperature": 0, "ignore_eos": True}
        answer = requests.post(f"{address}/completions", json=question, timeout=120).json()
        assert answer["usage"]["completion_tokens"] == 8
        family = psutil.Process(server.pid).children(recursive=True)
        listening = [
            one.laddr for process in family for one in process.net_connections("tcp") if one.status == "LISTEN"
        ]
        assert {at.ip for at in listening} == {HOST}, listening
        server.send_signal(signal.SIGINT)
        assert server.wait(120) == 130, (tmp_path / "log").read_text()
    finally:
        server.kill()
        server.wait()
    gone, left = psutil.wait_procs(family, timeout=5)
    assert gone
    assert left == []
    left_behind = {place: [str(path) for path in Path(place).rglob("*")] for place in own_places.values()}
    assert not any(left_behind.values()), left_behind
    assert "stopped; nothing is left of it" in (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()

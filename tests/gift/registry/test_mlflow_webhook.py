"""MLflow's own webhook of aliases fires for our moves, at a real server that may post to loopback."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from heard_webhook import heard
from mlflow.tracking import MlflowClient
from promotions import promote

from gift import registry
from pipelines.local.server_commands import HOST, mlflow_answers, mlflow_command, server_environment
from pipelines.local.services import Services
from pipelines.machine.processes import free_ports, spawn, stop, with_children


@pytest.fixture
def own_mlflow(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its rule against posting to private addresses is off, as the webhook of this test is on loopback."""
    (port,) = free_ports(HOST, 1)
    settings = {"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true"}
    started = spawn(
        mlflow_command(HOST, port, str(tmp_path / "artifacts")),
        tmp_path,
        server_environment(HOST, settings),
        tmp_path / "log",
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{HOST}:{port}")
    try:
        deadline = time.monotonic() + 120
        while not mlflow_answers(os.environ["MLFLOW_TRACKING_URI"]) and time.monotonic() < deadline:
            time.sleep(0.2)
        yield
    finally:
        stop(with_children([started]))


@pytest.mark.usefixtures("own_mlflow")
def test_mlflows_own_webhook_is_told_of_a_promotion(bucket_prefix: str) -> None:
    lock = f"{bucket_prefix}/lock"
    version = registry.register_version("model", "s3://gift/runs/1/model", "", {}, lock)
    with heard() as (url, messages):
        MlflowClient().create_webhook("promotions", url, events=["model_version_alias.created"])
        promote("model", version, instead_of=None)
        deadline = time.monotonic() + 30
        while not messages and time.monotonic() < deadline:
            time.sleep(0.1)
    (told,) = messages
    assert (told["entity"], told["action"]) == ("model_version_alias", "created")
    assert told["data"] == {"name": "model", "alias": "champion", "version": version}

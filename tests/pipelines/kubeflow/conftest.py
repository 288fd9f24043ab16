"""What the tests of runs on a cluster have: the command line in front of a KFP server, and Kubernetes beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_runs import Gift, compiled_once
from kfp_server import KfpServer
from kubernetes_objects import ObjectServer, object_server
from typer.testing import CliRunner

from pipelines.cli.main import app
from pipelines.kubeflow import cluster_run, follow, kfp_api


@pytest.fixture
def cluster_gift(server: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gift:
    """Runs the command line, without S3 and without Kubernetes, against the server; returns (exit status, output)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", server.address)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setattr(cluster_run, "compile_pipeline", compiled_once)
    monkeypatch.setattr(kfp_api, "PAUSES", (0.01, 0.01))
    monkeypatch.setattr(kfp_api, "READ_SECONDS", 0.3)
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(follow, "FOLLOW_PAUSES", (0.01,) * 5)

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    return run


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster_gift: Gift) -> Iterator[ObjectServer]:
    """The Kubernetes API that KUBECONFIG names."""
    with object_server() as objects:
        monkeypatch.setenv("KUBECONFIG", str(objects.kubeconfig(tmp_path / "kubeconfig")))
        yield objects

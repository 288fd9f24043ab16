"""What the tests of schedules have: a KFP server, a checkout with a commit, and the command line between them.

Those of lint have the compiler, those of runs on a cluster the command line in front of KFP, and Kubernetes beside it.
"""

import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cluster_runs import Gift as ClusterGift
from cluster_runs import compiled_once
from kfp import compiler, dsl
from kfp.dsl import pipeline_task
from kfp_server import KfpServer, running_server
from kubernetes_objects import ObjectServer, object_server
from scheduling import Gift, commit_all, write
from scheduling import compiled as compiled_text
from typer.testing import CliRunner

from pipelines.cli.main import app
from pipelines.kubeflow import cluster_run, follow, kfp_api
from pipelines.schedules import checkout


@pytest.fixture(scope="session", autouse=True)
def stacks_of_names() -> Iterator[None]:
    """kfp asks `inspect.stack` for its caller's name, which looks for its source in each of thousands of modules."""

    def stack() -> list[tuple[None, None, None, str]]:
        return [(None, None, None, frame.f_code.co_name) for frame, _ in traceback.walk_stack(sys._getframe(1))]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline_task, "inspect", SimpleNamespace(stack=stack))
        yield


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests in which the server hangs: others wait as long as users do, as a busy machine answers late, too."""
    monkeypatch.setattr(kfp_api, "READ_SECONDS", 0.3)


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The commit of a checkout that has what a pipeline is compiled from, and nothing else."""
    root = tmp_path / "checkout"
    (root / "pipelines" / "schedules").mkdir(parents=True)
    (root / "pipelines" / "schedules" / "checkout.py").write_text("")
    monkeypatch.setattr(checkout, "ROOT", root)
    return commit_all(root)


@pytest.fixture
def gift(server: KfpServer, commit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gift:
    """Runs `gift schedule …` in a folder with the schedule `nightly`; returns (exit status, output)."""
    (tmp_path / "schedules").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", server.address)
    monkeypatch.setattr(kfp_api, "PAUSES", (0.01, 0.01))
    monkeypatch.setattr("pipelines.kubeflow.compile.compile_pipeline", compiled_text)
    write("nightly", commit)

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["schedule", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    return run


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., str]:
    """Compiles a function of tasks to the text of the IR."""

    def compile_to_text(build: Callable[..., Any]) -> str:
        path = tmp_path / "pipeline.yaml"
        compiler.Compiler().compile(dsl.pipeline(name="a-pipeline")(build), str(path))
        return path.read_text()

    return compile_to_text


@pytest.fixture
def cluster_gift(server: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterGift:
    """Runs the command line, without S3 and without Kubernetes, against the server; returns (exit status, output)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", server.address)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setattr(cluster_run, "compile_pipeline", compiled_once)
    monkeypatch.setattr(kfp_api, "PAUSES", (0.01, 0.01))
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(follow, "FOLLOW_PAUSES", (0.01,) * 5)

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    return run


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster_gift: ClusterGift) -> Iterator[ObjectServer]:
    """The Kubernetes API that KUBECONFIG names."""
    with object_server() as objects:
        monkeypatch.setenv("KUBECONFIG", str(objects.kubeconfig(tmp_path / "kubeconfig")))
        yield objects

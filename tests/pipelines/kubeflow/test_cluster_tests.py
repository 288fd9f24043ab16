"""The tests of a real cluster (tests/cluster) against the stand-ins: that they work, skip by name, and clean up.

What only a cluster can show, a pod that is deleted, MLflow that restarts, a schedule that fires, is skipped here.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_runs import IMAGE
from kfp_server import KfpServer

ROOT = Path(__file__).parents[3]
STAGES = ("start-run", "train-sft", "train-policy", "gate", "report", "finish-run")
RUNNING = ("RUNNING", {"start-run": "RUNNING"})
ENDED = ("SUCCEEDED", dict.fromkeys(STAGES, "SUCCEEDED"))

pytestmark = pytest.mark.slow


def outcomes(server: KfpServer, tmp_path: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Exit status and output of pytest; no Kubernetes, S3 or MLflow can be asked."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GIFT_", "MLFLOW_"))}
    environment = outside | {"KF_PIPELINES_ENDPOINT": server.address, "KUBECONFIG": str(tmp_path / "none"), **variables}
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests/cluster", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_without_an_image_all_of_them_are_skipped(server: KfpServer, tmp_path: Path) -> None:
    status, output = outcomes(server, tmp_path)
    assert status == 0, output
    assert re.search(r"^\d+ skipped in", output, re.MULTILINE), output
    assert "only on request: make cluster-test IMAGE=registry/name@sha256:" in output
    assert server.runs == {}


def test_what_the_cluster_lacks_is_skipped_by_name_and_the_rest_passes(server: KfpServer, tmp_path: Path) -> None:
    server.progress = [RUNNING, ENDED, RUNNING]  # a run that ends well, and one that goes on until it is terminated
    status, output = outcomes(server, tmp_path, "-k", "not schedule", GIFT_CLUSTER_TEST_IMAGE=IMAGE)
    assert status == 0, output
    assert "2 passed" in output
    assert "there is no Kubernetes API to ask" in output
    assert "no S3 to read reports from: the AWS_* variables are not set" in output
    assert server.runs == {}, "they are deleted at the end"


def test_a_run_that_fails_is_a_failure_and_is_deleted_too(server: KfpServer, tmp_path: Path) -> None:
    server.progress = [("FAILED", {"train-sft": "FAILED"})]
    status, output = outcomes(server, tmp_path, "-k", "whole_dag", GIFT_CLUSTER_TEST_IMAGE=IMAGE)
    assert (status, "stage train-sft failed" in output) == (1, True), output
    assert server.runs == {}

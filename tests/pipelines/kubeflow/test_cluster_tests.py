"""The tests of a real cluster (tests/cluster) against the stand-ins: that they work, skip by name, and clean up.

Kubernetes' stand-in gives back what a test puts there, so that its part in a deleted pod or a restart is a look at
objects. What only a cluster can show, a schedule that fires and who reaches whom, is skipped here.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_runs import IMAGE
from kfp_server import KfpServer
from kubernetes_objects import ObjectServer, object_server

from gift.storage import upload_directory
from pipelines.local.services import Services

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


APPS, POLICIES = "/apis/apps/v1/namespaces/{}/deployments", "/apis/networking.k8s.io/v1/namespaces/gift/networkpolicies"
PODS = "/api/v1/namespaces/{}/pods"
TRAINS = ("RUNNING", {"train-policy": "RUNNING"})


def put_overlay(cluster: ObjectServer) -> None:
    cluster.put(APPS.format("kubeflow"), "ml-pipeline")
    cluster.put(APPS.format("gift"), "mlflow", status={"readyReplicas": 1})
    for name in ("default-deny", "mlflow", "stages"):
        cluster.put(POLICIES, name)
    cluster.put(PODS.format("gift"), "mlflow-1", metadata={"labels": {"app.kubernetes.io/name": "mlflow"}})
    cluster.put("/apis/trainer.kubeflow.org/v1alpha1/clustertrainingruntimes", "gift-deepspeed")


def put_training_pod(cluster: ObjectServer, run_id: str, attempt: int, log: str) -> None:
    labels = {"pipeline/runid": run_id, "app.kubernetes.io/component": "train-policy"}
    metadata = {"labels": labels, "creationTimestamp": f"2026-01-01T00:00:0{attempt}Z"}
    cluster.put(PODS.format("kubeflow"), f"{run_id}-{attempt}", metadata=metadata)
    cluster.logs[f"{PODS.format('kubeflow')}/{run_id}-{attempt}"] = log


def test_what_needs_kubernetes_passes_beside_one(server: KfpServer, tmp_path: Path) -> None:
    server.progress = [*[TRAINS, TRAINS, ENDED] * 2, ENDED]  # a pod is deleted, MLflow restarts, two nodes
    with object_server() as cluster:
        put_overlay(cluster)
        server.on_run = lambda run_id: put_training_pod(cluster, run_id, 1, "2026-01-01T00:00:09Z · gift 80/400\n")
        deleted: list[str] = []

        def start_again(path: str) -> None:
            deleted.append(path)
            if path.endswith("-1") and "kubeflow" in path:
                run_id = path.rpartition("/")[2].removesuffix("-1")
                put_training_pod(cluster, run_id, 2, "2026-01-01T00:00:10Z   goes on after step 60\n")

        cluster.on_delete = start_again
        chosen = ("-k", "overlay or pod_that_is_deleted or mlflow_may_restart or two_nodes")
        kubeconfig = str(cluster.kubeconfig(tmp_path / "kubeconfig"))
        status, output = outcomes(server, tmp_path, *chosen, GIFT_CLUSTER_TEST_IMAGE=IMAGE, KUBECONFIG=kubeconfig)
    assert status == 0, output
    assert "4 passed" in output
    assert [path.rpartition("/")[0] for path in deleted] == [PODS.format("kubeflow"), PODS.format("gift")]
    assert server.runs == {}


BEFORE_THE_POLICY = ("prepare-data", "prepare-model", "train-sft", "evaluate-base", "evaluate-sft")


@pytest.mark.parametrize("reused", [BEFORE_THE_POLICY, BEFORE_THE_POLICY[:-1]])
def test_a_second_run_must_have_reused_what_comes_before_the_policy(
    server: KfpServer, services: Services, bucket_prefix: str, tmp_path: Path, reused: tuple[str, ...]
) -> None:
    server.progress = [ENDED]
    report = json.loads((ROOT / "tests" / "gift" / "report" / "report.json").read_text())
    report |= {"reused": reused, "seconds": report["seconds"] | dict.fromkeys(BEFORE_THE_POLICY, 1.0)}
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.json").write_text(json.dumps(report))
    server.on_run = lambda run_id: upload_directory(tmp_path / "report", f"{bucket_prefix}/runs/{run_id}/report")
    variables = services.environment | {
        "GIFT_CLUSTER_TEST_IMAGE": IMAGE,
        "GIFT_CLUSTER_TEST_SETTINGS": f"storage.uri={bucket_prefix}",
    }
    status, output = outcomes(server, tmp_path, "-k", "second_run", **variables)
    assert status == (0 if reused == BEFORE_THE_POLICY else 1), output
    assert f"1 {'failed' if status else 'passed'}" in output


def test_a_run_that_fails_is_a_failure_and_is_deleted_too(server: KfpServer, tmp_path: Path) -> None:
    server.progress = [("FAILED", {"train-sft": "FAILED"})]
    status, output = outcomes(server, tmp_path, "-k", "whole_dag", GIFT_CLUSTER_TEST_IMAGE=IMAGE)
    assert (status, "stage train-sft failed" in output) == (1, True), output
    assert server.runs == {}

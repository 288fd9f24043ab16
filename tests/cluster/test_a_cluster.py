"""Tiny runs on a real cluster, undisturbed and disturbed; see conftest.py for where, and for what they have met."""

import os
import re
from pathlib import Path

import pytest
from cluster_under_test import LONG, LONG_STEPS, Cluster, delete, pods_of_stage, wait_for

from gift.errors import GiftError
from gift.report.schema import load_report
from pipelines.kubeflow.cluster_run import fetch_report, read_cluster_run, terminate
from pipelines.kubeflow.kubernetes_api import KubernetesApi

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

BEFORE_THE_POLICY = {"prepare-data", "prepare-model", "train-sft", "evaluate-base", "evaluate-sft"}


def test_the_overlay_is_there(kubernetes: KubernetesApi) -> None:
    mlflow = kubernetes.get("/apis/apps/v1/namespaces/gift/deployments/mlflow")
    assert mlflow is not None, "apply an overlay of manifests/"
    assert mlflow["status"].get("readyReplicas") == 1
    policies = kubernetes.items("/apis/networking.k8s.io/v1/namespaces/gift/networkpolicies")
    assert {"default-deny", "mlflow", "stages"} <= {policy["metadata"]["name"] for policy in policies}


def test_the_whole_dag_runs_to_its_end(cluster: Cluster, finished: str) -> None:
    run = cluster.get(finished)
    stages = read_cluster_run(cluster.api, run).stages
    states = {stages[t.display_name]: t.state for t in run.run_details.task_details if t.display_name in stages}
    assert run.state == "SUCCEEDED"
    assert states.keys() >= {"start-run", "train-sft", "train-policy", "gate", "report", "finish-run"}
    assert set(states.values()) == {"SUCCEEDED"}


def test_a_second_run_of_the_same_configuration_reuses_everything_but_the_policy(
    cluster: Cluster, finished: str, tmp_path: Path
) -> None:
    if not os.environ.get("AWS_ACCESS_KEY_ID"):
        pytest.skip("no S3 to read reports from: the AWS_* variables are not set")
    folder = fetch_report(cluster.follow(cluster.submit()), tmp_path)
    assert folder is not None
    assert set(load_report(folder / "report.json").reused) >= BEFORE_THE_POLICY


def test_a_run_is_terminated(cluster: Cluster) -> None:
    run_id = cluster.submit()
    cluster.wait_for_stage(run_id, "start-run")
    terminate(cluster.api, run_id)
    with pytest.raises(GiftError, match=f"run {run_id} was terminated"):
        cluster.follow(run_id)


def test_a_training_pod_that_is_deleted_goes_on_from_its_checkpoint(
    cluster: Cluster, kubernetes: KubernetesApi
) -> None:
    namespace = cluster.api.namespace or "kubeflow"
    run_id = cluster.submit(*LONG)
    cluster.wait_for_stage(run_id, "train-policy")
    first = wait_for("the training's pod", lambda: pods_of_stage(kubernetes, namespace, run_id, "train-policy"))[-1]

    def has_stored_a_checkpoint() -> bool:
        log = kubernetes.text(f"{first}/log", container="main") or ""
        return any(int(step) > 60 for step in re.findall(rf"(\d+)/{LONG_STEPS}\b", log))

    wait_for("a checkpoint", has_stored_a_checkpoint)
    delete(kubernetes, first)
    cluster.follow(run_id)
    last = pods_of_stage(kubernetes, namespace, run_id, "train-policy")[-1]
    assert last != first
    assert "goes on after step" in (kubernetes.text(f"{last}/log", container="main") or "")


def test_mlflow_may_restart_in_the_middle(cluster: Cluster, kubernetes: KubernetesApi) -> None:
    listing = "/api/v1/namespaces/gift/pods"
    pods = kubernetes.items(listing, labelSelector="app.kubernetes.io/name=mlflow")
    if not pods:
        pytest.skip("no MLflow of ours in namespace gift")
    run_id = cluster.submit(*LONG)
    cluster.wait_for_stage(run_id, "train-policy")
    for pod in pods:
        delete(kubernetes, f"{listing}/{pod['metadata']['name']}")
    cluster.follow(run_id)


def test_two_nodes_train_together(cluster: Cluster, kubernetes: KubernetesApi) -> None:
    runtimes = "/apis/trainer.kubeflow.org/v1alpha1/clustertrainingruntimes/gift-deepspeed"
    if kubernetes.get(runtimes) is None:
        pytest.skip("no Kubeflow Trainer with the runtime gift-deepspeed")
    cluster.follow(cluster.submit("compute.nodes=2", "compute.ranks=2"))

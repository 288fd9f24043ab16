"""`gift doctor` against KFP's and Kubernetes' APIs: a cluster that lacks nothing, and then one thing at a time."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cluster_runs import Gift
from healthy_cluster import DOCTOR, NAMESPACE, QUOTA, SEVERAL, healthy, line
from kubernetes_objects import ObjectServer

pytestmark = pytest.mark.usefixtures("alone")

SUBJECTS = ["KFP", "image", "MLflow", "bucket", "Kubernetes", "Secrets", "Secrets", "account", "rights", "your rights"]
SUBJECTS += ["LimitRange", "quota", "nodes", "StorageClass", "retries", "time zone"]

Change = Callable[[ObjectServer], object]


def test_a_cluster_that_lacks_nothing_passes(cluster_gift: Gift, kubernetes: ObjectServer) -> None:
    healthy(kubernetes)
    status, output = cluster_gift(*DOCTOR)
    assert (status, "fails" in output) == (0, False)
    subjects = [text[7:21].strip() for text in output.splitlines()]
    assert subjects == SUBJECTS
    assert "ok     KFP           2.17 at http://127.0.0.1" in output
    assert "ok     nodes         the largest pod, train-policy (2 cpu, 6 GiB memory, " in output
    assert "ok     retries       a stage that failed starts again, 2 times at most" in output
    assert "ok     time zone     cron lines of schedules are in Europe/Berlin" in output


def set_data(secret: str, **data: str) -> Change:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return lambda cluster: cluster.objects[f"{NAMESPACE}/secrets/{secret}"]["data"].update(encoded)


def remove(path: str) -> Change:
    return lambda cluster: cluster.objects.pop(path)


def refuse(verb: str, resource: str) -> Change:
    return lambda cluster: cluster.refused_rights.add((verb, resource))


def change_node(**status: Any) -> Change:
    return lambda cluster: cluster.objects["/api/v1/nodes/one"]["status"].update(status)


def change_spec(path: str, **spec: Any) -> Change:
    return lambda cluster: cluster.objects[path]["spec"].update(spec)


SMALL = {"cpu": "1900m", "memory": "63Gi", "ephemeral-storage": "400Gi"}
RANGE = f"{NAMESPACE}/limitranges/container-defaults"
ARGO = "/api/v1/namespaces/kubeflow/configmaps/workflow-controller-configmap"
FULL = {"hard": {"requests.cpu": "32"}}


@pytest.mark.parametrize(
    ("subject", "change", "text"),
    [
        ("Secrets", remove(f"{NAMESPACE}/secrets/gift-s3"), "gift-s3 is not in namespace kubeflow; make it"),
        ("Secrets", set_data("gift-s3", AWS_ENDPOINT_URL_S3=""), "gift-s3 lacks AWS_ENDPOINT_URL_S3, or it is empty"),
        (
            "account",
            remove(f"{NAMESPACE}/serviceaccounts/pipeline-runner"),
            "pipeline-runner is not in namespace ",
        ),
        ("rights", refuse("patch", "workflowtaskresults"), "pipeline-runner may not patch workflowtaskresults; give"),
        ("namespace", remove("/api/v1/namespaces/kubeflow"), "there is no namespace kubeflow at http://127.0.0.1"),
        ("quota", change_spec(QUOTA, hard={"requests.cpu": "2"}), "asks for 2.05 cpu, quota gift allows 2; raise it"),
        (
            "quota",
            change_spec(QUOTA, hard={"limits.memory": "4Gi"}),
            "6.062 GiB memory, quota gift allows 4 GiB",
        ),
        ("quota", change_spec(QUOTA, hard={"pods": "0"}), "asks for 1 pods, quota gift allows 0; raise it"),
        ("quota", change_spec(QUOTA, hard={"count/pods": "0"}), "asks for 1 pods, quota gift allows 0; raise it"),
        ("quota", remove(RANGE), "no LimitRange gives Argo's containers a default: their pods are refused; apply "),
        (
            "LimitRange",
            change_spec(RANGE, limits=[{"type": "Container", "max": {"memory": "5Gi"}, "default": {"cpu": "1"}}]),
            "train-sft asks for 6 GiB memory, the LimitRange allows 5Gi at most per Container; change it",
        ),
        ("nodes", change_node(allocatable=SMALL), "train-policy, train-sft (2 cpu, 6 GiB memory, 12 GiB "),
        ("nodes", change_node(allocatable=SMALL), "none of 1 nodes can hold one: 1 with too little cpu (1.9)"),
        (
            "nodes",
            change_node(allocatable=SMALL | {"cpu": "8", "ephemeral-storage": "5Gi"}),
            "1 with too little ",
        ),
        ("nodes", change_node(conditions=[{"type": "Ready", "status": "Unknown"}]), "nodes can hold one: 1 not ready"),
        ("nodes", change_spec("/api/v1/nodes/one", unschedulable=True), "nodes can hold one: 1 cordoned"),
        (
            "nodes",
            change_spec("/api/v1/nodes/one", taints=[{"key": "spot", "effect": "NoSchedule"}]),
            "nodes can hold one: 1 with the taint spot:NoSchedule",
        ),
        ("nodes", remove("/api/v1/nodes/one"), "none of 0 nodes can hold one: there is none"),
    ],
)
def test_what_would_fail_is_named_with_its_remedy(
    cluster_gift: Gift, kubernetes: ObjectServer, subject: str, change: Change, text: str
) -> None:
    healthy(kubernetes)
    change(kubernetes)
    status, output = cluster_gift(*DOCTOR)
    found = [found for found in output.splitlines() if found.startswith(f"fails  {subject}")]
    assert status == 1
    assert any(text in each for each in found), output


@pytest.mark.parametrize(
    ("subject", "change", "text"),
    [
        (
            "your rights",
            refuse("you list", "pods"),
            "you may not list pods in namespace kubeflow: `gift run` can't",
        ),
        (
            "retries",
            remove(ARGO),
            "Argo's retryPolicy is not set: cluster.retries does nothing for a stage ",
        ),
        ("StorageClass", remove("/apis/storage.k8s.io/v1/storageclasses/standard"), "none of none is the default"),
        (
            "nodes",
            lambda cluster: cluster.forbidden.add("/api/v1/nodes"),
            "not checked: Kubernetes at http://127.0.0.1",
        ),
        ("quota", lambda cluster: cluster.forbidden.add(f"{NAMESPACE}/resourcequotas"), "not checked: Kubernetes at "),
        (
            "Secrets",
            lambda cluster: cluster.forbidden.add(f"{NAMESPACE}/secrets/gift-s3"),
            "not checked: Kubernetes ",
        ),
        (
            "quota",
            change_spec(QUOTA, hard={"requests.cpu": "4"}),
            "train-policy beside evaluate-base asks for 4.1 cpu, 3 of quota gift are free: one will wait for the ",
        ),
        (
            "nodes",
            change_node(allocatable=SMALL | {"cpu": "3"}),
            "train-policy beside evaluate-base: no room for both, so one will wait for the other; cluster.evaluate_",
        ),
        (
            "quota",
            lambda cluster: cluster.objects[QUOTA].update(status={"used": {"requests.cpu": "31"}}),
            "asks for 2.05 cpu, 1 of quota gift are free: it will wait for others",
        ),
    ],
)
def test_what_can_not_be_checked_or_is_done_without_is_no_failure(
    cluster_gift: Gift, kubernetes: ObjectServer, subject: str, change: Change, text: str
) -> None:
    healthy(kubernetes)
    change(kubernetes)
    status, output = cluster_gift(*DOCTOR)
    assert status == 0, output
    assert text in line(output, subject, "note")


def test_stages_one_after_the_other_need_room_for_one(cluster_gift: Gift, kubernetes: ObjectServer) -> None:
    healthy(kubernetes)
    change_spec(QUOTA, hard={"requests.cpu": "4"})(kubernetes)
    change_node(allocatable=SMALL | {"cpu": "3"})(kubernetes)
    status, output = cluster_gift(*DOCTOR, "--set", "cluster.evaluate_beside_training=false")
    assert (status, "beside" in output) == (0, False)
    assert line(output, "quota", "ok")
    assert line(output, "nodes", "ok")


ENDPOINT = "http://mlflow.gift.svc:5000"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/gift/networkpolicies"


def put_plugin(cluster: ObjectServer, **settings: Any) -> None:
    """KFP's MLflow plugin, as KFP's own script turns it on."""
    api_server = cluster.objects["/apis/apps/v1/namespaces/kubeflow/deployments/ml-pipeline"]
    volumes = [{"name": "tmp", "emptyDir": {}}, {"name": "config", "configMap": {"name": "kfp-mlflow-config"}}]
    api_server["spec"]["template"]["spec"]["volumes"] = volumes
    text = json.dumps({"plugins": {"mlflow": {"endpoint": ENDPOINT, "settings": settings}}})
    cluster.put(f"{NAMESPACE}/configmaps", "kfp-mlflow-config", data={"config.json": text})
    cluster.put(POLICIES, "mlflow")
    cluster.put(POLICIES, "mlflow-from-kfp-api-server")


@pytest.mark.parametrize(
    ("settings", "change", "state", "text"),
    [
        ({"injectUserEnvVars": True}, None, "ok", f"KFP opens at {ENDPOINT}, authType kubernetes"),
        ({"authType": "none"}, None, "note", "without injectUserEnvVars: KFP's runs in MLflow and ours are two trees"),
        (
            {"injectUserEnvVars": True, "authType": "bearer"},
            None,
            "fails",
            "kfp-mlflow-credentials is not in namespace kubeflow: authType bearer takes from it; make it",
        ),
        (
            {"injectUserEnvVars": True},
            remove(f"{POLICIES}/mlflow-from-kfp-api-server"),
            "fails",
            "MLflow keeps KFP's API server out: apply components/kfp-mlflow-plugin",
        ),
    ],
)
def test_kfps_mlflow_plugin_has_what_it_needs(
    cluster_gift: Gift,
    kubernetes: ObjectServer,
    settings: dict[str, Any],
    change: Change | None,
    state: str,
    text: str,
) -> None:
    healthy(kubernetes)
    put_plugin(kubernetes, **settings)
    if change:
        change(kubernetes)
    status, output = cluster_gift(*DOCTOR)
    assert status == (1 if state == "fails" else 0), output
    assert text in line(output, "MLflow plugin", state)


def test_several_nodes_can_not_sign_in_with_an_account(cluster_gift: Gift, kubernetes: ObjectServer) -> None:
    healthy(kubernetes)
    put_plugin(kubernetes, injectUserEnvVars=True)
    _, output = cluster_gift(*SEVERAL)
    assert "authType kubernetes, which nodes of a training can't" in line(output, "MLflow plugin", "fails")


def test_a_volume_that_the_profile_names_must_be_there(cluster_gift: Gift, kubernetes: ObjectServer) -> None:
    healthy(kubernetes)
    status, output = cluster_gift(*DOCTOR, "--set", "cluster.work_storage_class=fast")
    assert status == 1
    assert "work_storage_class fast is not there; the cluster has standard" in line(output, "StorageClass", "fails")
    server = ("rollout.engine=vllm", "rollout.vllm.placement=server", "cluster.vllm_secret=gift-vllm")
    settings = [part for key in (*server, "cluster.vllm_weights_claim=weights") for part in ("--set", key)]
    status, output = cluster_gift(*DOCTOR, *settings)
    assert status == 1
    assert "weights is not in namespace kubeflow; apply" in line(output, "claims", "fails")
    assert "gift-vllm is not in namespace kubeflow" in line(output, "Secrets", "fails")
    encoded = {"GIFT_VLLM_SERVER": base64.b64encode(b"http://vllm:8000").decode()}
    kubernetes.put(f"{NAMESPACE}/secrets", "gift-vllm", data=encoded)
    kubernetes.put(f"{NAMESPACE}/persistentvolumeclaims", "weights", status={"phase": "Bound"})
    status, output = cluster_gift(*DOCTOR, *settings)
    assert status == 0, output
    assert "weights is Bound" in line(output, "claims", "ok")

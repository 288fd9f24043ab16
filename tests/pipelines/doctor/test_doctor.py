"""`gift doctor` against KFP's and Kubernetes' APIs: a cluster that lacks nothing, and then one thing at a time."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cluster_runs import Gift, compiled_once
from healthy_cluster import NAMESPACE, healthy
from kfp_server import KfpServer
from kubernetes_objects import ObjectServer

from pipelines.doctor import demands

DIGEST = f"sha256:{'b' * 64}"
IMAGE = f"127.0.0.1:9/gift@{DIGEST}"
DOCTOR = ("doctor", "--profile", "local", "--image", IMAGE)
GPU = ("doctor", "--profile", "qwen2.5-7b-gsm8k", "--image", IMAGE)
SEVERAL = ("doctor", "--profile", "qwen2.5-32b-dapo", "--image", IMAGE)

SUBJECTS = ["KFP", "image", "MLflow", "bucket", "Kubernetes", "Secrets", "Secrets", "account", "rights", "your rights"]
SUBJECTS += ["LimitRange", "quota", "nodes", "StorageClass", "retries", "time zone"]

Change = Callable[[ObjectServer], object]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without MLflow and S3, and with one compilation of each profile."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(demands, "compile_pipeline", compiled_once)


def line(output: str, subject: str, state: str) -> str:
    """The only line of `subject` that has the state."""
    (found,) = [text for text in output.splitlines() if text.split()[0] == state and text[7:].startswith(subject)]
    return found


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
QUOTA, RANGE = f"{NAMESPACE}/resourcequotas/gift", f"{NAMESPACE}/limitranges/container-defaults"
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


@pytest.mark.parametrize("fault", ["none", "token", "cluster", "away"])
def test_without_kubernetes_one_line_says_what_is_not_checked(
    cluster_gift: Gift,
    kubernetes: ObjectServer,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
    server: KfpServer,
) -> None:
    kubeconfigs = {
        "none": tmp_path / "none",
        "token": kubernetes.kubeconfig(tmp_path / "expired", token="of-yesterday"),
        "cluster": kubernetes.kubeconfig(tmp_path / "another"),
        "away": ObjectServer("http://127.0.0.1:9").kubeconfig(tmp_path / "gone"),
    }
    expected = {
        "none": "there is no Kubernetes API to ask (",
        "token": "does not know who asks (401): the token in the kubeconfig is wrong or has expired; sign in again",
        "cluster": f"the kubeconfig is another cluster's than that of KFP at {server.address}, or --kubeflow-namespace",
        "away": "Kubernetes at http://127.0.0.1:9 does not answer",
    }
    monkeypatch.setenv("KUBECONFIG", str(kubeconfigs[fault]))
    status, output = cluster_gift(*DOCTOR)
    assert status == 0, output
    assert expected[fault] in line(output, "Kubernetes", "note")
    assert "not checked: Secrets, account, quota, nodes" in output
    assert len(output.splitlines()) == 5


@pytest.mark.parametrize(
    ("version", "state", "text"),
    [
        ("2.4.1", "fails", "KFP 2.4 at http"),
        ("2.0.5", "fails", "is too old: it gives all runs one id; upgrade it to 2.17 (2.5 is the oldest that works)"),
        ("2.5.0", "note", "2.5 at http"),
        ("2.18.1", "note", "this was made for 2.17"),
        ("unknown", "note", "does not tell its version"),
    ],
)
def test_kfps_version_is_compared(
    cluster_gift: Gift, kubernetes: ObjectServer, server: KfpServer, version: str, state: str, text: str
) -> None:
    healthy(kubernetes)
    server.version = version
    status, output = cluster_gift(*DOCTOR)
    assert status == (1 if state == "fails" else 0)
    assert text in line(output, "KFP", state)


def test_a_kfp_with_users_wants_a_namespace_and_is_looked_at_there(
    cluster_gift: Gift, kubernetes: ObjectServer, server: KfpServer
) -> None:
    healthy(kubernetes)
    server.multi_user = True
    status, output = cluster_gift(*DOCTOR)
    assert status == 1
    assert "name your namespace in KFP_NAMESPACE or --kfp-namespace" in line(output, "KFP", "fails")
    status, output = cluster_gift(*DOCTOR, "--kfp-namespace", "team")
    assert status == 1
    assert "there is no namespace team at http://" in line(output, "namespace", "fails")
    healthy(kubernetes, "team")
    kubernetes.put("/api/v1/namespaces/team/serviceaccounts", "default-editor")
    status, output = cluster_gift(*DOCTOR, "--kfp-namespace", "team")
    assert status == 0, output
    assert "the run's pods are default-editor in namespace team" in output


@pytest.mark.parametrize("kfp", [None, "http://127.0.0.1:9"])
def test_a_kfp_that_is_not_there_fails_and_the_rest_is_checked(
    cluster_gift: Gift, kubernetes: ObjectServer, monkeypatch: pytest.MonkeyPatch, kfp: str | None
) -> None:
    healthy(kubernetes)
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT")
    status, output = cluster_gift(*DOCTOR, *([] if kfp is None else ["--kfp-host", kfp]))
    assert status == 1
    assert line(output, "KFP", "fails")
    assert line(output, "nodes", "ok")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (*DOCTOR[:-1], "registry.example.org/gift:latest"),
            "the image registry.example.org/gift:latest must be named ",
        ),
        (("doctor", "--profile", "nowhere", "--image", IMAGE), "nowhere"),
    ],
)
def test_a_mistake_of_the_call_is_one_line(cluster_gift: Gift, arguments: tuple[str, ...], message: str) -> None:
    status, output = cluster_gift(*arguments)
    assert status == 1
    assert output.startswith("error: ")
    assert message in output
    assert output.count("\n") == 1


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


GPU_NODE = {"cpu": "128", "memory": "1Ti", "ephemeral-storage": "2Ti", "nvidia.com/gpu": "8"}


def put_gpu_node(cluster: ObjectServer, name: str, product: str, **spec: Any) -> None:
    status = {"allocatable": GPU_NODE, "conditions": [{"type": "Ready", "status": "True"}]}
    labels = {"nvidia.com/gpu.product": product}
    cluster.put("/api/v1/nodes", name, metadata={"labels": labels}, spec=spec, status=status)


def test_gpus_labels_and_taints_decide_where_a_training_fits(cluster_gift: Gift, kubernetes: ObjectServer) -> None:
    healthy(kubernetes)
    kubernetes.objects.pop(QUOTA)
    put_gpu_node(kubernetes, "old", "NVIDIA-A100-SXM4-80GB")
    status, output = cluster_gift(*GPU)
    assert status == 1
    assert "train-policy (96 cpu, 320 GiB memory, 8 nvidia.com/gpu, " in output
    assert "none of 2 nodes can hold one: 2 without the label nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3" in output
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    put_gpu_node(kubernetes, "new", "NVIDIA-H100-80GB-HBM3", taints=[taint])
    status, output = cluster_gift(*GPU)
    assert status == 0, output
    assert "the largest pod, train-" in line(output, "nodes", "ok")


def test_several_nodes_want_trainer_a_queue_and_enough_nodes(cluster_gift: Gift, kubernetes: ObjectServer) -> None:
    healthy(kubernetes)
    kubernetes.objects.pop(QUOTA)
    queue = ("--set", "cluster.queue=gift-training")
    status, output = cluster_gift(*SEVERAL, *queue)
    assert status == 1
    assert "is not installed, and compute.nodes is 4; install 2.3 with JobSet" in line(output, "Trainer", "fails")
    assert "is not installed; install 0.17 or later" in line(output, "Kueue", "fails")
    kubernetes.objects["/apis/trainer.kubeflow.org/v1alpha1"] = {"kind": "APIResourceList"}
    kubernetes.objects["/apis/kueue.x-k8s.io/v1beta2"] = {"kind": "APIResourceList"}
    for number in range(3):
        put_gpu_node(kubernetes, f"gpu-{number}", "NVIDIA-B200")
    for node in kubernetes.objects.values():
        node.get("status", {}).get("allocatable", {}).update({"memory": "2Ti"})
    status, output = cluster_gift(*SEVERAL, *queue)
    assert (
        "train-policy on 4 nodes (96 cpu, 1280 GiB memory, 321 GiB ephemeral-storage, 8 nvidia.com/gpu each)" in output
    )
    assert "each): the nodes have room for 3; change `cluster`" in output
    assert "lacks the ClusterTrainingRuntime gift-deepspeed" in line(output, "Trainer", "fails")
    assert "has no LocalQueue gift-training in namespace kubeflow" in line(output, "Kueue", "fails")
    put_gpu_node(kubernetes, "gpu-3", "NVIDIA-B200")
    kubernetes.objects["/api/v1/nodes/gpu-3"]["status"]["allocatable"] = GPU_NODE | {"memory": "2Ti"}
    kubernetes.put("/apis/trainer.kubeflow.org/v1alpha1/clustertrainingruntimes", "gift-deepspeed")
    kueue = "/apis/kueue.x-k8s.io/v1beta2"
    kubernetes.put(f"{kueue}/namespaces/kubeflow/localqueues", "gift-training", spec={"clusterQueue": "gift"})
    resources = [{"name": name, "nominalQuota": "31"} for name in ("nvidia.com/gpu",)]
    resources += [{"name": name, "nominalQuota": "100Ti"} for name in ("cpu", "memory", "ephemeral-storage")]
    groups = [{"coveredResources": [], "flavors": [{"name": "gift-gpu", "resources": resources}]}]
    kubernetes.put(f"{kueue}/clusterqueues", "gift", spec={"resourceGroups": groups})
    status, output = cluster_gift(*SEVERAL, *queue)
    assert status == 1
    assert "train-policy on 4 nodes asks for 32 nvidia.com/gpu, ClusterQueue gift has 31: it would wait" in output
    resources[0]["nominalQuota"] = "32"
    status, output = cluster_gift(*SEVERAL, *queue)
    assert status == 0, output
    assert line(output, "Kueue", "ok")


def test_a_profile_that_asks_for_more_than_the_quota_on_all_its_nodes_is_named(
    cluster_gift: Gift, kubernetes: ObjectServer
) -> None:
    healthy(kubernetes)
    kubernetes.objects[QUOTA]["spec"]["hard"] = {"requests.nvidia.com/gpu": "24", "requests.cpu": "1k", "pods": "60"}
    _, output = cluster_gift(*SEVERAL)
    assert "train-sft on 4 nodes asks for 32 nvidia.com/gpu, quota gift allows 24; raise it" in line(
        output, "quota", "fails"
    )

"""A cluster that lacks nothing for the profile `local`, as Kubernetes' API shows it, and calls of `gift doctor`."""

import base64
from typing import Any

import yaml
from kubernetes_objects import ObjectServer

NAMESPACE = "/api/v1/namespaces/kubeflow"
QUOTA = f"{NAMESPACE}/resourcequotas/gift"
DIGEST = f"sha256:{'b' * 64}"
IMAGE = f"127.0.0.1:9/gift@{DIGEST}"
DOCTOR = ("doctor", "--profile", "local", "--image", IMAGE)
GPU = ("doctor", "--profile", "qwen2.5-7b-gsm8k", "--image", IMAGE)
SEVERAL = ("doctor", "--profile", "qwen2.5-32b-dapo", "--image", IMAGE)
S3 = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL_S3": "http://seaweedfs:8333"}
DEFAULTS = {"type": "Container", "defaultRequest": {"cpu": "50m", "memory": "64Mi"}, "default": {"cpu": "1"}}


def healthy(cluster: ObjectServer, namespace: str = "kubeflow") -> None:
    """Put KFP, a namespace for runs, and a node there."""
    _put_platform(cluster)
    cluster.put("/api/v1/namespaces", namespace)
    inside = f"/api/v1/namespaces/{namespace}"
    _put_secret(cluster, inside, "gift-s3", S3)
    _put_secret(cluster, inside, "gift-mlflow", {"MLFLOW_TRACKING_URI": "http://mlflow:5000"})
    cluster.put(f"{inside}/serviceaccounts", "pipeline-runner")
    cluster.put(f"{inside}/limitranges", "container-defaults", spec={"limits": [DEFAULTS]})
    hard = {"pods": "60", "requests.cpu": "32", "requests.memory": "128Gi"}
    used = {"pods": "3", "requests.cpu": "1", "requests.memory": "2Gi"}
    cluster.put(f"{inside}/resourcequotas", "gift", spec={"hard": hard}, status={"hard": hard, "used": used})


def _put_platform(cluster: ObjectServer) -> None:
    system = "/api/v1/namespaces/kubeflow"
    deployments = "/apis/apps/v1/namespaces/kubeflow/deployments"
    cluster.put(deployments, "ml-pipeline", spec=_pod_with([]))
    zone = {"configMapKeyRef": {"name": "pipeline-install-config", "key": "cronScheduleTimezone"}}
    variables = [{"name": "CRON_SCHEDULE_TIMEZONE", "valueFrom": zone}]
    cluster.put(deployments, "ml-pipeline-scheduledworkflow", spec=_pod_with(variables))
    cluster.put(f"{system}/configmaps", "pipeline-install-config", data={"cronScheduleTimezone": "Europe/Berlin"})
    retries = {"spec": {"templateDefaults": {"retryStrategy": {"limit": "0", "retryPolicy": "Always"}}}}
    cluster.put(
        f"{system}/configmaps", "workflow-controller-configmap", data={"workflowDefaults": yaml.safe_dump(retries)}
    )
    allocatable = {"cpu": "7910m", "memory": "64Gi", "ephemeral-storage": "429496729600", "pods": "110"}
    conditions = [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}]
    status = {"allocatable": allocatable, "conditions": conditions}
    cluster.put("/api/v1/nodes", "one", metadata={"labels": {}}, spec={}, status=status)
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    cluster.put("/apis/storage.k8s.io/v1/storageclasses", "standard", metadata={"annotations": default})


def _pod_with(variables: list[dict[str, Any]]) -> dict[str, Any]:
    return {"template": {"spec": {"containers": [{"name": "main", "env": variables}]}}}


def _put_secret(cluster: ObjectServer, inside: str, name: str, data: dict[str, str]) -> None:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    cluster.put(f"{inside}/secrets", name, data=encoded)


def line(output: str, subject: str, state: str) -> str:
    """The only line of `subject` that has the state."""
    (found,) = [text for text in output.splitlines() if text.split()[0] == state and text[7:].startswith(subject)]
    return found

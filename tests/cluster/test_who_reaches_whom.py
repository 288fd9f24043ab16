"""The table of NetworkPolicies on a real cluster, asked from pods that try to connect; see conftest.py."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from cluster_under_test import Cluster, delete, wait_for

from pipelines.kubeflow.kubernetes_api import KubernetesApi

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PODS = "/api/v1/namespaces/gift/pods"
STAGE = {"pipelines.kubeflow.org/v2_component": "true"}
STRANGER = {"app": "stranger"}
MLFLOW, POSTGRES = ("mlflow.gift.svc", 5000), ("postgres.gift.svc", 5432)
KUBERNETES, INTERNET = ("kubernetes.default.svc", 443), ("1.1.1.1", 443)
TRY = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"


class Prober:
    """Pods that try one connection each."""

    def __init__(self, kubernetes: KubernetesApi, image: str) -> None:
        self.kubernetes, self.image = kubernetes, image
        self.made: list[str] = []

    def reaches(self, labels: dict[str, str], address: tuple[str, int]) -> bool:
        name = f"gift-probe-{time.time_ns()}"
        made = self.kubernetes.create(PODS, _pod(name, labels, self.image, address))
        assert made is not None, "there is no namespace gift"
        self.made.append(f"{PODS}/{name}")
        return wait_for(name, lambda: self._phase(name)) == "Succeeded"

    def _phase(self, name: str) -> str | None:
        pod = self.kubernetes.get(f"{PODS}/{name}") or {}
        phase = pod.get("status", {}).get("phase")
        return phase if phase in ("Succeeded", "Failed") else None


def _pod(name: str, labels: dict[str, str], image: str, address: tuple[str, int]) -> dict[str, Any]:
    """As the Pod Security level «restricted» takes it."""
    amounts = {"cpu": "100m", "memory": "128Mi"}
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "main",
        "image": image,
        "command": ["python", "-c", TRY, address[0], str(address[1])],
        "resources": {"requests": amounts, "limits": amounts},
        "securityContext": security,
    }
    user = {"runAsUser": 1000, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {
        "containers": [container],
        "restartPolicy": "Never",
        "securityContext": user,
        "automountServiceAccountToken": False,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


@pytest.fixture(scope="module")
def prober(cluster: Cluster, kubernetes: KubernetesApi) -> Iterator[Prober]:
    if kubernetes.get("/apis/apps/v1/namespaces/gift/deployments/mlflow") is None:
        pytest.skip("no overlay of manifests/ in namespace gift")
    prober = Prober(kubernetes, cluster.image)
    try:
        if prober.reaches(STRANGER, MLFLOW):
            pytest.skip("no network plug-in that enforces NetworkPolicies: any pod reaches MLflow")
        yield prober
    finally:
        for path in prober.made:
            delete(kubernetes, path)


@pytest.mark.parametrize(
    ("labels", "address", "opened"),
    [
        (STAGE, MLFLOW, True),
        (STAGE, KUBERNETES, True),
        (STAGE, POSTGRES, False),
        (STRANGER, KUBERNETES, False),
        (STRANGER, POSTGRES, False),
        (STRANGER, INTERNET, False),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else next(iter(value)) if isinstance(value, dict) else value,
)
def test_a_pod_reaches_what_the_policies_open_and_nothing_else(
    prober: Prober, labels: dict[str, str], address: tuple[str, int], opened: bool
) -> None:
    assert prober.reaches(labels, address) == opened

"""KFP's own MLflow plugin, as its API server's settings have it: whose runs a run would get, and what that needs.

The settings are `config.json` of a ConfigMap that the API server mounts (docs/cluster.md). Left out: settings within
KFP's image or its environment, and what a namespace changes of them.
"""

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

from gift.config import RunConfig
from gift.tracking.platform import KFP_SECRET
from pipelines.doctor.check_result import CheckResult, bad, good, note
from pipelines.doctor.place import RunPlace
from pipelines.kubeflow.kubernetes_api import Json, KubernetesApi

PLUGIN = "MLflow plugin"
DOCS = "docs/cluster.md, KFP's MLflow plugin"
POLICY = "mlflow-from-kfp-api-server"
"""Of manifests/components/kfp-mlflow-plugin."""


def check_mlflow_plugin(
    kubernetes: KubernetesApi, place: RunPlace, config: RunConfig, api_server: Json
) -> Iterator[CheckResult]:
    """Nothing where the plugin is off. Raises: GiftError: Kubernetes does not answer, or refuses."""
    plugin = _settings(kubernetes, place, api_server)
    if plugin is None:
        return
    settings = plugin.get("settings") or {}
    auth = settings.get("authType") or "kubernetes"
    yield from _way_in(kubernetes, str(plugin.get("endpoint") or ""))
    if not settings.get("injectUserEnvVars"):
        yield note(PLUGIN, "is on without injectUserEnvVars: KFP's runs in MLflow and ours are two trees")
        return
    if auth == "kubernetes" and config.compute.nodes > 1:
        yield bad(
            PLUGIN,
            f"signs in with authType kubernetes, which nodes of a training can't: use basic-auth or bearer ({DOCS})",
        )
    elif auth in ("basic-auth", "bearer") and not kubernetes.get(_secret(place)):
        yield bad(PLUGIN, f"{KFP_SECRET} is not in namespace {place.namespace}: authType {auth} takes from it; make it")
    else:
        yield good(PLUGIN, f"stages use the runs that KFP opens at {plugin.get('endpoint')}, authType {auth}")


def _settings(kubernetes: KubernetesApi, place: RunPlace, api_server: Json) -> Json | None:
    """`plugins.mlflow` of the API server's settings."""
    pod = api_server.get("spec", {}).get("template", {}).get("spec", {})
    maps = [volume["configMap"]["name"] for volume in pod.get("volumes") or [] if "configMap" in volume]
    for name in maps:
        found = kubernetes.get(f"/api/v1/namespaces/{place.kubeflow}/configmaps/{name}") or {}
        try:
            return json.loads(found["data"]["config.json"])["plugins"]["mlflow"] or {}
        except (KeyError, TypeError, ValueError):
            continue
    return None


def _way_in(kubernetes: KubernetesApi, endpoint: str) -> Iterator[CheckResult]:
    """MLflow of our manifests lets KFP's API server in only where a policy says so."""
    service, _, namespace = (urlsplit(endpoint).hostname or "").partition(".")
    policies = f"/apis/networking.k8s.io/v1/namespaces/{namespace.partition('.')[0]}/networkpolicies"
    if service != "mlflow" or not namespace or kubernetes.get(f"{policies}/mlflow") is None:
        return
    if kubernetes.get(f"{policies}/{POLICY}") is None:
        yield bad(PLUGIN, f"MLflow keeps KFP's API server out: apply components/kfp-mlflow-plugin ({DOCS})")


def _secret(place: RunPlace) -> str:
    return f"/api/v1/namespaces/{place.namespace}/secrets/{KFP_SECRET}"

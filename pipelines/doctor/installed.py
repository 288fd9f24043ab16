"""How the cluster is set up beside the namespace: StorageClasses, Argo's retries, and the time zone of schedules.

Left out: KFP itself (`services`).
"""

from collections.abc import Iterator

import yaml

from gift.config import RunConfig
from pipelines.doctor.check_result import CheckResult, bad, good, note
from pipelines.doctor.demands import Demands
from pipelines.doctor.place import RunPlace, variables_of
from pipelines.kubeflow.kubernetes_api import Json, KubernetesApi

STORAGE, RETRIES, ZONE = "StorageClass", "retries", "time zone"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def check_storage_classes(kubernetes: KubernetesApi, demands: Demands) -> Iterator[CheckResult]:
    """Raises: GiftError: Kubernetes does not answer, or refuses."""
    classes = {c["metadata"]["name"]: c for c in kubernetes.items("/apis/storage.k8s.io/v1/storageclasses")}
    known = ", ".join(classes) or "none"
    for name in sorted(demands.storage_classes - classes.keys()):
        yield bad(STORAGE, f"cluster.work_storage_class {name} is not there; the cluster has {known}")
    defaults = [n for n, c in classes.items() if c["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true"]
    if defaults:
        yield good(STORAGE, f"{defaults[0]} is the default")
    else:
        text = f"none of {known} is the default, which the volumes of MLflow's database and of SeaweedFS want"
        yield note(STORAGE, f"{text}; the stages of this profile do without")


def check_retry_policy(kubernetes: KubernetesApi, place: RunPlace, config: RunConfig) -> Iterator[CheckResult]:
    """Raises: GiftError: Kubernetes does not answer, or refuses."""
    if not config.cluster.retries:
        yield good(RETRIES, "cluster.retries is 0")
        return
    path = f"/api/v1/namespaces/{place.kubeflow}/configmaps/workflow-controller-configmap"
    policy = _retry_policy(kubernetes.get(path))
    if policy == "Always":
        yield good(RETRIES, f"a stage that failed starts again, {config.cluster.retries} times at most")
    else:
        yield note(
            RETRIES,
            f"Argo's retryPolicy is {policy}: cluster.retries does nothing for a stage that failed, ran out of memory "
            "or was evicted (manifests/README.md, step 9)",
        )


def _retry_policy(settings: Json | None) -> str:
    try:
        defaults = yaml.safe_load((settings or {})["data"]["workflowDefaults"])
        return str(defaults["spec"]["templateDefaults"]["retryStrategy"]["retryPolicy"])
    except (KeyError, TypeError, yaml.YAMLError):
        return "not set"


def check_time_zone(kubernetes: KubernetesApi, place: RunPlace) -> Iterator[CheckResult]:
    """Raises: GiftError: Kubernetes does not answer, or refuses."""
    path = f"/apis/apps/v1/namespaces/{place.kubeflow}/deployments/ml-pipeline-scheduledworkflow"
    controller = kubernetes.get(path)
    if controller is None:
        yield note(
            ZONE, f"no controller of schedules in namespace {place.kubeflow}: `gift schedule` has nobody to start runs"
        )
        return
    variable = variables_of(controller).get("CRON_SCHEDULE_TIMEZONE", {})
    zone = variable.get("value")
    if source := variable.get("valueFrom", {}).get("configMapKeyRef"):
        found = kubernetes.get(f"/api/v1/namespaces/{place.kubeflow}/configmaps/{source['name']}") or {}
        zone = found.get("data", {}).get(source["key"])
    yield good(ZONE, f"cron lines of schedules are in {zone or 'UTC'}")

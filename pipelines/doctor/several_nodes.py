"""What a training on several nodes needs beside its nodes: Kubeflow Trainer with our runtime, and Kueue with the queue.

Left out: whether their controllers run.
"""

from collections.abc import Iterator
from decimal import Decimal

from kubernetes.utils import parse_quantity

from gift.config import RunConfig
from pipelines.doctor.check_result import CheckResult, bad, good, note
from pipelines.doctor.demands import Amounts, Demands
from pipelines.doctor.place import RunPlace
from pipelines.doctor.quantities import amount_text
from pipelines.kubeflow.kubernetes_api import Json, KubernetesApi

TRAINER, KUEUE = "Trainer", "Kueue"
TRAINER_API = "/apis/trainer.kubeflow.org/v1alpha1"
QUEUE_VERSIONS = ("v1beta2", "v1beta1")
"""Kueue 0.17 and later have the first."""
INSTALL = "manifests/README.md, step 7"


def check_trainer(kubernetes: KubernetesApi, config: RunConfig) -> Iterator[CheckResult]:
    """Raises: GiftError: Kubernetes does not answer, or refuses."""
    runtime, nodes = config.cluster.runtime, config.compute.nodes
    if nodes == 1:
        return
    if kubernetes.get(TRAINER_API) is None:
        yield bad(TRAINER, f"is not installed, and compute.nodes is {nodes}; install 2.3 with JobSet ({INSTALL})")
    elif kubernetes.get(f"{TRAINER_API}/clustertrainingruntimes/{runtime}") is None:
        yield bad(TRAINER, f"lacks the ClusterTrainingRuntime {runtime}; apply components/multi-node ({INSTALL})")
    else:
        yield good(TRAINER, f"has the runtime {runtime}")


def check_queue(
    kubernetes: KubernetesApi, place: RunPlace, config: RunConfig, demands: Demands
) -> Iterator[CheckResult]:
    """Raises: GiftError: Kubernetes does not answer, or refuses."""
    name = config.cluster.queue
    if config.compute.nodes == 1:
        return
    if name is None:
        yield note(KUEUE, "cluster.queue names no queue: two trainings may wait for each other half-started")
        return
    version = next((v for v in QUEUE_VERSIONS if kubernetes.get(f"/apis/kueue.x-k8s.io/{v}") is not None), None)
    if version is None:
        yield bad(KUEUE, f"is not installed; install 0.17 or later ({INSTALL}), or leave cluster.queue away")
        return
    root = f"/apis/kueue.x-k8s.io/{version}"
    queue = kubernetes.get(f"{root}/namespaces/{place.namespace}/localqueues/{name}")
    if queue is None:
        where = f"no LocalQueue {name} in namespace {place.namespace}"
        yield bad(KUEUE, f"has {where}; apply components/kueue ({INSTALL})")
        return
    cluster_queue = kubernetes.get(f"{root}/clusterqueues/{queue['spec']['clusterQueue']}")
    short = list(_short_of(cluster_queue, demands)) if cluster_queue else []
    for text in short:
        yield bad(KUEUE, f"{text}: it would wait forever; raise nominalQuota, or ask for less")
    if not short:
        yield good(KUEUE, f"has the queue {name}")


def _short_of(cluster_queue: Json, demands: Demands) -> Iterator[str]:
    """What all flavors of a ClusterQueue together have too little of; one that may borrow from others is not judged."""
    spec, name = cluster_queue["spec"], cluster_queue["metadata"]["name"]
    if spec.get("cohort") or spec.get("cohortName"):
        return
    quotas = _nominal_quotas(spec)
    for pod in demands.pods:
        for resource, amount in pod.requests.items() if pod.count > 1 else ():
            asked, has = pod.count * amount, quotas.get(resource, Decimal(0))
            if asked > has:
                texts = amount_text(resource, asked), amount_text(resource, has)
                yield f"{pod.name} asks for {texts[0]} {resource}, ClusterQueue {name} has {texts[1]}"


def _nominal_quotas(spec: Json) -> Amounts:
    quotas: Amounts = {}
    flavors = [flavor for group in spec.get("resourceGroups", []) for flavor in group["flavors"]]
    for resource in (resource for flavor in flavors for resource in flavor["resources"]):
        amount = parse_quantity(resource["nominalQuota"])
        quotas[resource["name"]] = quotas.get(resource["name"], Decimal(0)) + amount
    return quotas

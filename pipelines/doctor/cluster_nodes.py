"""Are there nodes that could hold each pod, and those that run at once: labels, taints, and what they have for pods?

Left out: what other pods use of it now (Kubernetes waits for that), affinities, and nodes that an autoscaler would add.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from kubernetes.utils import parse_quantity

from pipelines.doctor.check_result import CheckResult, bad, good, note
from pipelines.doctor.demands import DISK, Amounts, Demands, PodDemand
from pipelines.doctor.quantities import amount_text
from pipelines.kubeflow.kubernetes_api import Json, KubernetesApi

SUBJECT = "nodes"


def check_nodes(kubernetes: KubernetesApi, demands: Demands) -> Iterator[CheckResult]:
    """One line for each size of pods that no node could hold; else one for the largest.

    Raises:
        GiftError: Kubernetes does not answer, or refuses.
    """
    nodes = kubernetes.items("/api/v1/nodes")
    misfits: dict[str, list[str]] = defaultdict(list)
    for pod in demands.pods:
        if reason := _misfit(pod, nodes):
            misfits[reason].append(pod.name)
    for reason, names in misfits.items():
        yield bad(SUBJECT, f"{', '.join(names)} {reason}; change `cluster` in the profile, or add such a node")
    if not misfits:
        yield from _check_crowds(demands, nodes)
        largest = max(demands.pods, key=lambda pod: (sum(_gpus(pod)), pod.requests["memory"], pod.requests["cpu"]))
        yield good(SUBJECT, f"the largest pod, {largest.name} {_text(largest)}, has a node that can hold it")


def _check_crowds(demands: Demands, nodes: list[Json]) -> Iterator[CheckResult]:
    """One line for the first stages that could run at the same time, were there room for them."""
    for stages in demands.together:
        pods = [pod for pod in demands.pods if pod.stage in stages]
        if not _fit_together(pods, nodes):
            first = "cluster.evaluate_beside_training: false puts the training first"
            yield note(SUBJECT, f"{' beside '.join(stages)}: no room for both, so one will wait for the other; {first}")
            return


def _fit_together(pods: list[PodDemand], nodes: list[Json]) -> bool:
    """Whether empty nodes hold all of them, the largest first and each on the first node with room."""
    free = [_allocatable(node) for node in nodes]
    for pod in sorted(pods, key=lambda pod: (sum(_gpus(pod)), pod.requests["memory"]), reverse=True):
        for _ in range(pod.count):
            place = next((at for at, node in zip(free, nodes, strict=True) if not _reason(pod, node, at)), None)
            if place is None:
                return False
            for resource, amount in _needs(pod).items():
                place[resource] = place.get(resource, Decimal(0)) - amount
    return True


def _misfit(pod: PodDemand, nodes: list[Json]) -> str:
    """Why the nodes can't hold the pod, or the pods; empty where they can."""
    reasons = [_reason(pod, node, _allocatable(node)) for node in nodes]
    room = sum(_places(pod, node) for node, reason in zip(nodes, reasons, strict=True) if not reason)
    if room >= pod.count:
        return ""
    if room:
        return f"{_text(pod)}: the nodes have room for {room}"
    counted = ", ".join(f"{count} {reason}" for reason, count in Counter(reasons).most_common())
    return f"{_text(pod)}: none of {len(nodes)} nodes can hold one: {counted or 'there is none'}"


def _reason(pod: PodDemand, node: Json, free: Amounts) -> str:
    """Why one node can't hold one pod in what is `free` of it; empty where it can."""
    if node["spec"].get("unschedulable"):
        return "cordoned"
    if not any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", [])):
        return "not ready"
    labels = node["metadata"].get("labels", {})
    for key, value in pod.node_selector.items():
        if labels.get(key) != value:
            return f"without the label {key}={value}"
    for taint in node["spec"].get("taints", []):
        if taint["effect"] != "PreferNoSchedule" and not any(_tolerates(t, taint) for t in pod.tolerations):
            return f"with the taint {taint['key']}:{taint['effect']}"
    for resource, amount in _needs(pod).items():
        if free.get(resource, Decimal(0)) < amount:
            return f"with too little {resource} ({amount_text(resource, free.get(resource, Decimal(0)))})"
    return ""


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    same_value = toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")
    same_effect = toleration.get("effect") in (None, "", taint["effect"])
    return bool(toleration.get("key") in (None, "", taint["key"]) and same_value and same_effect)


def _places(pod: PodDemand, node: Json) -> int:
    """How many of such pods an empty node holds."""
    allocatable = _allocatable(node)
    return min(int(allocatable[resource] // amount) for resource, amount in _needs(pod).items() if amount)


def _needs(pod: PodDemand) -> Amounts:
    return pod.requests | {DISK: pod.disk}


def _gpus(pod: PodDemand) -> list[Decimal]:
    return [amount for resource, amount in pod.requests.items() if "/" in resource]


def _allocatable(node: Json) -> Amounts:
    return {name: parse_quantity(amount) for name, amount in node["status"].get("allocatable", {}).items()}


def _text(pod: PodDemand) -> str:
    amounts = ", ".join(f"{amount_text(resource, amount)} {resource}" for resource, amount in _needs(pod).items())
    return f"({amounts}{' each' if pod.count > 1 else ''})"

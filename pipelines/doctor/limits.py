"""Quota and LimitRange of the namespace against what the profile's pods request.

    largest stage, or a TrainJob beside its stage, and what Argo's container is given ──> hard, used, max, min

Left out: quotas with a scope, which count some pods only, and what runs beside this run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from kubernetes.utils import parse_quantity

from pipelines.doctor.check_result import CheckResult, bad, good, note
from pipelines.doctor.demands import Amounts, Demands, PodDemand
from pipelines.doctor.quantities import amount_text
from pipelines.kubeflow.kubernetes_api import Json, KubernetesApi

QUOTA, RANGE = "quota", "LimitRange"
OF_CONTAINERS = ("cpu", "memory")
"""What every container must request where a quota counts it."""


@dataclass(frozen=True)
class _Hold:
    """What a run holds at the same time."""

    what: str
    amounts: Amounts


def check_limits(kubernetes: KubernetesApi, namespace: str, demands: Demands) -> Iterator[CheckResult]:
    """Raises: GiftError: Kubernetes does not answer, or refuses."""
    quotas = kubernetes.items(f"/api/v1/namespaces/{namespace}/resourcequotas")
    ranges = [
        limit
        for item in kubernetes.items(f"/api/v1/namespaces/{namespace}/limitranges")
        for limit in item["spec"]["limits"]
    ]
    yield from _check_ranges(ranges, demands)
    defaults = _defaults(ranges)
    unscoped = [quota for quota in quotas if not quota["spec"].get("scopes") and not quota["spec"].get("scopeSelector")]
    if not unscoped:
        yield good(QUOTA, f"none in namespace {namespace} that counts all pods")
    for quota in unscoped:
        yield from _check_quota(quota, _holds(demands, defaults), defaults)


def _holds(demands: Demands, defaults: Amounts) -> list[_Hold]:
    """The stages run one after the other; a TrainJob beside the stage that submits it."""
    stages = {pod.stage: _with_argo(pod, defaults) for pod in demands.pods if pod.count == 1}
    holds = [_Hold(stage, amounts) for stage, amounts in stages.items()]
    for job in (pod for pod in demands.pods if pod.count > 1):
        submits = stages[job.stage]
        names = {*job.requests, *submits, "pods"}
        holds.append(_Hold(job.name, {n: job.count * _of(job.requests, n) + _of(submits, n) for n in names}))
    return holds


def _with_argo(pod: PodDemand, defaults: Amounts) -> Amounts:
    """With Argo's container beside the stage, which has no requests of its own."""
    return {name: amount + _of(defaults, name) for name, amount in pod.requests.items()}


def _check_quota(quota: Json, holds: list[_Hold], defaults: Amounts) -> Iterator[CheckResult]:
    name, hard = quota["metadata"]["name"], quota["spec"].get("hard", {})
    used = quota.get("status", {}).get("used", {})
    fine = True
    for key, text in hard.items():
        resource = key.removeprefix("requests.").removeprefix("limits.")
        largest = max(holds, key=lambda hold: _of(hold.amounts, resource))
        wanted, allowed = _of(largest.amounts, resource), parse_quantity(text)
        free = allowed - parse_quantity(used.get(key, "0"))
        what = f"{largest.what} asks for {amount_text(resource, wanted)} {resource}"
        if wanted > allowed:
            fine = False
            yield bad(QUOTA, f"{what}, quota {name} allows {amount_text(resource, allowed)}; raise it, or ask for less")
        elif wanted > free:
            fine = False
            yield note(
                QUOTA, f"{what}, {amount_text(resource, free)} of quota {name} are free: it will wait for others"
            )
        if resource in OF_CONTAINERS and resource not in defaults:
            fine = False
            yield bad(
                QUOTA,
                f"quota {name} counts {key}, and no LimitRange gives Argo's containers a default: their pods are "
                "refused; apply manifests/base/limits.yaml",
            )
    if fine:
        yield good(QUOTA, f"{name} has room for every stage")


def _check_ranges(ranges: list[Json], demands: Demands) -> Iterator[CheckResult]:
    fine = True
    for limit in ranges:
        for pod in demands.pods:
            for text in _refusals(limit, pod):
                fine = False
                yield bad(RANGE, f"{pod.name} asks for {text} per {limit['type']}; change it, or the profile")
    if fine:
        yield good(RANGE, "allows every stage" if ranges else "none")


def _refusals(limit: Json, pod: PodDemand) -> Iterator[str]:
    if limit["type"] not in ("Container", "Pod"):
        return
    for resource, amount in pod.requests.items():
        asked = f"{amount_text(resource, amount)} {resource}"
        most, least = limit.get("max", {}).get(resource), limit.get("min", {}).get(resource)
        if most is not None and amount > parse_quantity(most):
            yield f"{asked}, the LimitRange allows {most} at most"
        if least is not None and amount < parse_quantity(least):
            yield f"{asked}, the LimitRange demands {least} at least"


def _defaults(ranges: list[Json]) -> Amounts:
    """What a container without requests gets; where only a limit has a default, that."""
    found: Amounts = {}
    for limit in ranges:
        if limit["type"] == "Container":
            texts = limit.get("default", {}) | limit.get("defaultRequest", {})
            found |= {name: parse_quantity(text) for name, text in texts.items()}
    return found


def _of(amounts: Amounts, resource: str) -> Decimal:
    return amounts.get(resource, Decimal(1) if resource == "pods" else Decimal(0))

"""Quota and LimitRange of the namespace against what the profile's pods request.

    largest stage, or a TrainJob beside its stage, and what Argo's container is given ──> hard, used, max, min
    stages that may run at the same time                                              ──> hard, used

Left out: quotas with a scope, which count some pods only, those of volumes, and what runs beside this run.
"""

import re
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
        holds = _holds(demands, defaults)
        crowds = [_crowd([holds[stage] for stage in stages]) for stages in demands.together]
        yield from _check_quota(quota, list(holds.values()), crowds, defaults)


def _holds(demands: Demands, defaults: Amounts) -> dict[str, _Hold]:
    """Of each stage, by its name; a TrainJob counts with the stage that submits it."""
    holds = {pod.stage: _Hold(pod.stage, _with_argo(pod, defaults)) for pod in demands.pods if pod.count == 1}
    for job in (pod for pod in demands.pods if pod.count > 1):
        amounts = {name: job.count * amount for name, amount in job.requests.items()}
        nodes = _Hold(job.name, amounts | {"pods": Decimal(job.count)})
        holds[job.stage] = _Hold(job.name, _sum([nodes, holds[job.stage]]))
    return holds


def _with_argo(pod: PodDemand, defaults: Amounts) -> Amounts:
    """With Argo's container beside the stage, which has no requests of its own."""
    return {name: amount + _of(defaults, name) for name, amount in pod.requests.items()} | {"pods": Decimal(1)}


def _crowd(holds: list[_Hold]) -> _Hold:
    return _Hold(" beside ".join(hold.what for hold in holds), _sum(holds))


def _sum(holds: list[_Hold]) -> Amounts:
    return {
        name: sum((_of(hold.amounts, name) for hold in holds), Decimal(0)) for hold in holds for name in hold.amounts
    }


def _check_quota(quota: Json, holds: list[_Hold], crowds: list[_Hold], defaults: Amounts) -> Iterator[CheckResult]:
    name, hard = quota["metadata"]["name"], quota["spec"].get("hard", {})
    used = quota.get("status", {}).get("used", {})
    fine = True
    for key, text in hard.items():
        resource = re.sub(r"^(requests\.|limits\.|count/)", "", key)
        allowed = parse_quantity(text)
        free = allowed - parse_quantity(used.get(key, "0"))
        if shortage := _shortage(name, resource, allowed, free, holds, crowds):
            fine = False
            yield shortage
        if resource in OF_CONTAINERS and resource not in defaults:
            fine = False
            yield bad(
                QUOTA,
                f"quota {name} counts {key}, and no LimitRange gives Argo's containers a default: their pods are "
                "refused; apply manifests/base/limits.yaml",
            )
    if fine:
        yield good(QUOTA, f"{name} has room for every stage{' and what runs beside it' if crowds else ''}")


def _shortage(
    quota: str, resource: str, allowed: Decimal, free: Decimal, holds: list[_Hold], crowds: list[_Hold]
) -> CheckResult | None:
    """What the quota has too little for, of one resource: a stage, or stages at the same time."""
    wanted, asks = _largest(holds, resource)
    if wanted > allowed:
        return bad(QUOTA, f"{asks}, quota {quota} allows {amount_text(resource, allowed)}; raise it, or ask for less")
    are_free = f"{amount_text(resource, free)} of quota {quota} are free"
    if wanted > free:
        return note(QUOTA, f"{asks}, {are_free}: it will wait for others")
    together, asks = _largest(crowds, resource)
    if together > free:
        first = "cluster.evaluate_beside_training: false puts the training first"
        return note(QUOTA, f"{asks}, {are_free}: one will wait for the other; {first}")
    return None


def _largest(holds: list[_Hold], resource: str) -> tuple[Decimal, str]:
    """The most that is asked for, and by whom."""
    hold = max(holds, key=lambda hold: _of(hold.amounts, resource), default=_Hold("nothing", {}))
    wanted = _of(hold.amounts, resource)
    return wanted, f"{hold.what} asks for {amount_text(resource, wanted)} {resource}"


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
    return amounts.get(resource, Decimal(0))

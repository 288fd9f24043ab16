"""Which connections a set of NetworkPolicies lets through: Kubernetes' rules for the fields these manifests use."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from rendered import NAMESPACE, Object, of_kind


@dataclass(frozen=True)
class Peer:
    """One end of a connection: a pod, or with `address` something outside the cluster."""

    labels: dict[str, str] = field(default_factory=dict)
    namespace: str = NAMESPACE
    address: str | None = None


def connects(objects: Iterable[Object], source: Peer, destination: Peer, port: int, protocol: str = "TCP") -> bool:
    """Both ends must agree; an end outside the namespace is not ours to judge."""
    policies = of_kind(objects, "NetworkPolicy")
    return _lets(policies, "egress", source, destination, port, protocol) and _lets(
        policies, "ingress", destination, source, port, protocol
    )


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector chooses something with these labels."""
    unknown = set(selector) - {"matchLabels", "matchExpressions"}
    assert not unknown, unknown
    expressions = selector.get("matchExpressions", ())
    assert all(expression["operator"] == "In" for expression in expressions)
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(expression["key"]) in expression["values"] for expression in expressions
    )


def _lets(policies: list[Object], way: str, here: Peer, there: Peer, port: int, protocol: str) -> bool:
    if here.address is not None or here.namespace != NAMESPACE:
        return True
    mine = [
        policy["spec"]
        for policy in policies
        if way.capitalize() in policy["spec"]["policyTypes"] and selects(policy["spec"]["podSelector"], here.labels)
    ]
    if not mine:
        return True  # Kubernetes' default: a pod that no policy selects is open
    peers = "to" if way == "egress" else "from"
    return any(
        _port_matches(rule, port, protocol) and any(_is(peer, there) for peer in rule[peers])
        for spec in mine
        for rule in spec.get(way, ())
    )


def _port_matches(rule: Object, port: int, protocol: str) -> bool:
    return "ports" not in rule or any((entry["protocol"], entry["port"]) == (protocol, port) for entry in rule["ports"])


def _is(selector: dict[str, Any], peer: Peer) -> bool:
    if "ipBlock" in selector:
        return peer.address is not None and _in_block(selector["ipBlock"], peer.address)
    if peer.address is not None:
        return False
    if "namespaceSelector" in selector:
        namespace_matches = selects(selector["namespaceSelector"], {"kubernetes.io/metadata.name": peer.namespace})
    else:
        namespace_matches = peer.namespace == NAMESPACE
    return namespace_matches and selects(selector.get("podSelector", {}), peer.labels)


def _in_block(block: Object, address: str) -> bool:
    inside = ip_address(address) in ip_network(block["cidr"])
    return inside and not any(ip_address(address) in ip_network(cidr) for cidr in block.get("except", ()))

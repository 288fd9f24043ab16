"""Rules for what may be applied to a cluster. Each takes the objects of an overlay and returns one line per breach."""

import re
from collections.abc import Callable, Iterator

from rendered import CLUSTER_WIDE, NAMESPACE, Object, of_kind, pod_templates, title

Policy = Callable[[list[Object]], list[str]]

NEEDS_TOKEN = {"gift-stage"}  # KFP's launcher and Argo's executor ask the Kubernetes API
READERS_OF_ALL = {"configmaps", "secrets"}
CREDENTIAL_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|ACCESS_KEY|API_?KEY", re.IGNORECASE)
CREDENTIAL_VALUE = re.compile(r"://[^/\s]*:[^/\s]*@|AKIA[0-9A-Z]{16}|-----BEGIN|\bhf_\w{20,}")
DIGEST = re.compile(r"^[^\s:@]+(:\d+)?(/[^\s:@]+)*@sha256:[0-9a-f]{64}$")


def pods_run_as_user_1000(objects: list[Object]) -> list[str]:
    expected = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return [
        f"{pod.owner}: {key} is not {value}"
        for pod in pod_templates(objects)
        for key, value in expected.items()
        if pod.spec.get("securityContext", {}).get(key) != value
        or any(container.get("securityContext", {}).get(key, value) != value for container in pod.containers)
    ]


def containers_are_confined(objects: list[Object]) -> list[str]:
    expected = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "privileged": False,
    }
    return [
        f"{pod.owner}/{container['name']}: {key} is not {value}"
        for pod in pod_templates(objects)
        for container in pod.containers
        for key, value in expected.items()
        if ({"privileged": False} | container.get("securityContext", {})).get(key) != value
    ]


def pods_stay_off_the_host(objects: list[Object]) -> list[str]:
    shared = ("hostNetwork", "hostPID", "hostIPC")
    return [f"{pod.owner}: {key}" for pod in pod_templates(objects) for key in shared if pod.spec.get(key)] + [
        f"{pod.owner}: hostPath"
        for pod in pod_templates(objects)
        for volume in pod.spec.get("volumes", ())
        if "hostPath" in volume
    ]


def containers_have_requests_and_limits(objects: list[Object]) -> list[str]:
    return [
        f"{pod.owner}/{container['name']}: no {part} for {resource}"
        for pod in pod_templates(objects)
        for container in pod.containers
        for part in ("requests", "limits")
        for resource in ("cpu", "memory")
        if resource not in container.get("resources", {}).get(part, {})
    ]


def scratch_space_is_bounded(objects: list[Object]) -> list[str]:
    return [
        f"{pod.owner}/{volume['name']}: emptyDir without a size limit"
        for pod in pod_templates(objects)
        for volume in pod.spec.get("volumes", ())
        if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]
    ]


def images_are_pinned_by_digest(objects: list[Object]) -> list[str]:
    return [
        f"{pod.owner}/{container['name']}: {container['image']}"
        for pod in pod_templates(objects)
        for container in pod.containers
        if not DIGEST.match(container["image"])
    ]


def servers_have_probes(objects: list[Object]) -> list[str]:
    return [
        f"{title(server)}/{container['name']}: no {probe}"
        for server in of_kind(objects, "Deployment", "StatefulSet")
        for container in server["spec"]["template"]["spec"]["containers"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
        if probe not in container
    ]


def tokens_are_mounted_only_where_needed(objects: list[Object]) -> list[str]:
    accounts = of_kind(objects, "ServiceAccount")
    names = {account["metadata"]["name"] for account in accounts}
    return [
        title(account)
        for account in accounts
        if account.get("automountServiceAccountToken", True) and account["metadata"]["name"] not in NEEDS_TOKEN
    ] + [
        f"{pod.owner}: token, or no account of its own"
        for pod in pod_templates(objects)
        if pod.spec.get("automountServiceAccountToken", True) or pod.spec.get("serviceAccountName") not in names
    ]


def service_addresses_stay_out_of_environments(objects: list[Object]) -> list[str]:
    """A Service called mlflow would set MLFLOW_PORT, which the MLflow program reads."""
    return [pod.owner for pod in pod_templates(objects) if pod.spec.get("enableServiceLinks", True)]


def no_secret_values(objects: list[Object]) -> list[str]:
    secrets = [title(item) for item in of_kind(objects, "Secret")]
    literals = [
        f"{pod.owner}/{container['name']}: {entry['name']}"
        for pod in pod_templates(objects)
        for container in pod.containers
        for entry in container.get("env", ())
        if "value" in entry and CREDENTIAL_NAME.search(entry["name"])
    ]
    settings = [
        f"{title(item)}: {key}"
        for item in of_kind(objects, "ConfigMap")
        for key in item.get("data", {})
        if CREDENTIAL_NAME.search(key)
    ]
    texts = [
        f"{title(item)}: {text[:20]}…" for item in objects for text in _texts(item) if CREDENTIAL_VALUE.search(text)
    ]
    return secrets + literals + settings + texts


def objects_are_in_their_namespace(objects: list[Object]) -> list[str]:
    return [
        title(item)
        for item in objects
        if item["metadata"].get("namespace") != (None if item["kind"] in CLUSTER_WIDE else NAMESPACE)
    ]


def objects_say_what_they_belong_to(objects: list[Object]) -> list[str]:
    """README.md removes them by this label; a Secret or a disk has another life."""
    mark = ("gift.kubeflow.org/part-of", "gift")
    return [title(item) for item in objects if mark not in item["metadata"].get("labels", {}).items()] + [
        pod.owner for pod in pod_templates(objects) if mark not in pod.labels.items()
    ]


def namespace_is_restricted(objects: list[Object]) -> list[str]:
    [namespace] = of_kind(objects, "Namespace")
    labels = namespace["metadata"]["labels"]
    prefix = "pod-security.kubernetes.io"
    return [
        f"{prefix}/{mode}"
        for mode in ("enforce", "audit", "warn")
        if labels.get(f"{prefix}/{mode}") != "restricted"
        or not re.fullmatch(r"v1\.\d+", labels.get(f"{prefix}/{mode}-version", ""))
    ]


def namespace_keeps_kubeflows_labels(objects: list[Object]) -> list[str]:
    """By app.kubernetes.io/part-of Kubeflow's NetworkPolicies know the namespace of a Profile; nothing restores it."""
    [namespace] = of_kind(objects, "Namespace")
    return [label for label in namespace["metadata"]["labels"] if label.startswith("app.kubernetes.io/")]


def everything_is_denied_by_default(objects: list[Object]) -> list[str]:
    closed = {
        way
        for policy in of_kind(objects, "NetworkPolicy")
        if policy["spec"]["podSelector"] == {}
        for way in policy["spec"]["policyTypes"]
        if way.lower() not in policy["spec"]
    }
    return sorted({"Ingress", "Egress"} - closed)


def network_rules_name_their_peers(objects: list[Object]) -> list[str]:
    """An empty list of peers, or an empty selector of namespaces, means everyone."""
    return [
        f"{title(policy)}: a rule for everyone"
        for policy in of_kind(objects, "NetworkPolicy")
        for peers, rules in (("from", policy["spec"].get("ingress")), ("to", policy["spec"].get("egress")))
        for rule in rules or ()
        if not rule.get(peers) or any(peer.get("namespaceSelector") == {} for peer in rule[peers])
    ]


def roles_name_what_they_need(objects: list[Object]) -> list[str]:
    breaches = []
    for role in of_kind(objects, "Role", "ClusterRole"):
        for rule in role["rules"]:
            words = {*rule.get("apiGroups", ()), *rule.get("resources", ()), *rule["verbs"]}
            if "*" in words:
                breaches.append(f"{title(role)}: a wildcard")
            if words & {"escalate", "bind", "impersonate", "pods/exec", "serviceaccounts/token", "nodes"}:
                breaches.append(f"{title(role)}: {sorted(words)}")
            if READERS_OF_ALL & words and not (rule.get("resourceNames") and rule["verbs"] == ["get"]):
                breaches.append(f"{title(role)}: all of {rule['resources']}")
    for binding in of_kind(objects, "RoleBinding", "ClusterRoleBinding"):
        for subject in binding["subjects"]:
            if subject["kind"] != "ServiceAccount" or subject["name"] not in NEEDS_TOKEN:
                breaches.append(f"{title(binding)}: {subject['kind']} {subject['name']}")
    return breaches


def a_quota_bounds_the_namespace(objects: list[Object]) -> list[str]:
    hard = [set(quota["spec"]["hard"]) for quota in of_kind(objects, "ResourceQuota")]
    wanted = {"pods", "requests.cpu", "requests.memory", "requests.nvidia.com/gpu"}
    defaults = [limit for item in of_kind(objects, "LimitRange") for limit in item["spec"]["limits"]]
    return sorted(wanted - set().union(*hard)) + [
        f"no {part} for a container without one"
        for part in ("default", "defaultRequest")
        if not any({"cpu", "memory"} <= set(limit.get(part, {})) for limit in defaults)
    ]


POLICIES: tuple[Policy, ...] = (
    pods_run_as_user_1000,
    containers_are_confined,
    pods_stay_off_the_host,
    containers_have_requests_and_limits,
    scratch_space_is_bounded,
    images_are_pinned_by_digest,
    servers_have_probes,
    tokens_are_mounted_only_where_needed,
    service_addresses_stay_out_of_environments,
    no_secret_values,
    objects_are_in_their_namespace,
    objects_say_what_they_belong_to,
    namespace_is_restricted,
    namespace_keeps_kubeflows_labels,
    everything_is_denied_by_default,
    network_rules_name_their_peers,
    roles_name_what_they_need,
    a_quota_bounds_the_namespace,
)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)

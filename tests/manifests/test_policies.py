"""Every overlay keeps every policy, and every policy is broken by an object that should break it."""

from typing import Any

import policies
import pytest
from policies import POLICIES, Policy
from rendered import OVERLAYS, Object, of_kind, render, title

REMOVED = object()
POD = "spec template spec"
NODE = "spec template spec replicatedJobs 0 template spec template spec"
NODE_CONTAINER = f"{NODE} containers 0"
MLFLOW = f"{POD} containers 0"
MIGRATE = f"{POD} initContainers 0"
LEVEL = "metadata labels pod-security.kubernetes.io"
DEPLOYMENT = "Deployment mlflow"
RUNTIME = "ClusterTrainingRuntime gift-deepspeed"
DENY = "NetworkPolicy default-deny"
ROLE = "Role pipeline-run"
ROOT_VOLUME = {"name": "root", "hostPath": {"path": "/"}}
SECRET = {"kind": "Secret", "metadata": {"name": "gift-s3"}, "data": {"AWS_SECRET_ACCESS_KEY": "eA=="}}


def may(resource: str, *verbs: str, group: str = "", **names: list[str]) -> Object:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs), **names}


# (policy, object, keys to the place in it, new value); `+` is a new last entry of a list
BREACHES: list[tuple[Policy, str, str, Any]] = [
    (policies.pods_run_as_user_1000, DEPLOYMENT, f"{POD} securityContext runAsUser", 0),
    (policies.pods_run_as_user_1000, DEPLOYMENT, f"{POD} securityContext seccompProfile", REMOVED),
    (policies.pods_run_as_user_1000, DEPLOYMENT, f"{MIGRATE} securityContext runAsUser", 0),
    (policies.pods_run_as_user_1000, RUNTIME, f"{NODE} securityContext runAsNonRoot", REMOVED),
    (policies.containers_are_confined, DEPLOYMENT, f"{MLFLOW} securityContext readOnlyRootFilesystem", False),
    (policies.containers_are_confined, DEPLOYMENT, f"{MLFLOW} securityContext allowPrivilegeEscalation", True),
    (policies.containers_are_confined, DEPLOYMENT, f"{MLFLOW} securityContext capabilities add", ["SYS_ADMIN"]),
    (policies.containers_are_confined, DEPLOYMENT, f"{MIGRATE} securityContext privileged", True),
    (policies.containers_are_confined, RUNTIME, f"{NODE_CONTAINER} securityContext", REMOVED),
    (policies.pods_stay_off_the_host, DEPLOYMENT, f"{POD} volumes +", ROOT_VOLUME),
    (policies.pods_stay_off_the_host, RUNTIME, f"{NODE} hostNetwork", True),
    (policies.containers_have_requests_and_limits, DEPLOYMENT, f"{MLFLOW} resources limits memory", REMOVED),
    (policies.containers_have_requests_and_limits, DEPLOYMENT, f"{MIGRATE} resources requests cpu", REMOVED),
    (policies.containers_have_requests_and_limits, RUNTIME, f"{NODE_CONTAINER} resources", REMOVED),
    (policies.scratch_space_is_bounded, DEPLOYMENT, f"{POD} volumes 0 emptyDir sizeLimit", REMOVED),
    (policies.images_are_pinned_by_digest, DEPLOYMENT, f"{MLFLOW} image", "registry.example.com/gift:latest"),
    (policies.images_are_pinned_by_digest, RUNTIME, f"{NODE_CONTAINER} image", "gift"),
    (policies.servers_have_probes, DEPLOYMENT, f"{MLFLOW} readinessProbe", REMOVED),
    (policies.servers_have_probes, "StatefulSet postgres", f"{POD} containers 0 livenessProbe", REMOVED),
    (policies.tokens_are_mounted_only_where_needed, DEPLOYMENT, f"{POD} automountServiceAccountToken", REMOVED),
    (policies.tokens_are_mounted_only_where_needed, DEPLOYMENT, f"{POD} serviceAccountName", REMOVED),
    (policies.tokens_are_mounted_only_where_needed, "ServiceAccount mlflow", "automountServiceAccountToken", REMOVED),
    (policies.service_addresses_stay_out_of_environments, DEPLOYMENT, f"{POD} enableServiceLinks", REMOVED),
    (policies.no_secret_values, "", "+", SECRET),
    (policies.no_secret_values, DEPLOYMENT, f"{MLFLOW} env +", {"name": "PGPASSWORD", "value": "x"}),
    (policies.no_secret_values, RUNTIME, f"{NODE_CONTAINER} env", [{"name": "HF_TOKEN", "value": "x"}]),
    (policies.no_secret_values, "ConfigMap kfp-launcher", "data AWS_SECRET_ACCESS_KEY", "x"),
    (policies.no_secret_values, "ConfigMap kfp-launcher", "data uri", "postgresql://mlflow:x@postgres/mlflow"),
    (policies.objects_are_in_their_namespace, "Service mlflow", "metadata namespace", REMOVED),
    (policies.objects_are_in_their_namespace, "Service mlflow", "metadata namespace", "default"),
    (policies.objects_are_in_their_namespace, "ClusterQueue gift", "metadata namespace", "gift"),
    (policies.objects_say_what_they_belong_to, "Service mlflow", "metadata labels", {}),
    (policies.objects_say_what_they_belong_to, DEPLOYMENT, "spec template metadata labels", {}),
    (policies.namespace_is_restricted, "Namespace gift", f"{LEVEL}/enforce", "baseline"),
    (policies.namespace_is_restricted, "Namespace gift", f"{LEVEL}/enforce-version", "latest"),
    (policies.namespace_keeps_kubeflows_labels, "Namespace gift", "metadata labels app.kubernetes.io/part-of", "gift"),
    (policies.everything_is_denied_by_default, DENY, "", REMOVED),
    (policies.everything_is_denied_by_default, DENY, "spec policyTypes", ["Ingress"]),
    (policies.everything_is_denied_by_default, DENY, "spec ingress", [{}]),
    (policies.network_rules_name_their_peers, "NetworkPolicy mlflow", "spec ingress 0 from", REMOVED),
    (policies.network_rules_name_their_peers, "NetworkPolicy dns", "spec egress 0 to 0 namespaceSelector", {}),
    (policies.roles_name_what_they_need, ROLE, "rules +", may("pods", "get", group="*")),
    (policies.roles_name_what_they_need, ROLE, "rules +", may("pods", "*")),
    (policies.roles_name_what_they_need, ROLE, "rules +", may("secrets", "get")),
    (policies.roles_name_what_they_need, ROLE, "rules +", may("secrets", "list", resourceNames=["gift-s3"])),
    (policies.roles_name_what_they_need, ROLE, "rules +", may("pods/exec", "create")),
    (policies.roles_name_what_they_need, "RoleBinding train-jobs", "subjects 0 name", "default"),
    (policies.a_quota_bounds_the_namespace, "ResourceQuota gift", "", REMOVED),
    (policies.a_quota_bounds_the_namespace, "ResourceQuota gift", "spec hard requests.nvidia.com/gpu", REMOVED),
    (policies.a_quota_bounds_the_namespace, "LimitRange container-defaults", "spec limits 0 default cpu", REMOVED),
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_overlay_keeps(overlay: str, policy: Policy) -> None:
    assert policy(render(overlay)) == []


@pytest.mark.parametrize(
    ("policy", "owner", "path", "value"),
    BREACHES,
    ids=[f"{policy.__name__}-{number}" for number, (policy, *_) in enumerate(BREACHES)],
)
def test_a_breach_is_found(policy: Policy, owner: str, path: str, value: Any) -> None:
    objects = render("multi-node")
    assert policy(objects) == []
    _break(objects, owner, path, value)
    assert policy(objects) != []


def test_every_policy_is_shown_to_fail() -> None:
    assert {policy for policy, *_ in BREACHES} == set(POLICIES)


def test_the_stage_account_may_do_nothing_else() -> None:
    """All that pods of a run may ask of Kubernetes, several nodes included."""
    rules = {
        (group, resource, *rule.get("resourceNames", ()), *rule["verbs"])
        for role in of_kind(render("multi-node"), "Role", "ClusterRole")
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert rules == {
        ("", "configmaps", "kfp-launcher", "get"),
        ("", "secrets", "gift-s3", "get"),
        ("", "pods", "get"),
        ("", "pods", "list"),
        ("", "pods/log", "get"),
        ("argoproj.io", "workflows", "get"),
        ("argoproj.io", "workflowtaskresults", "create", "patch"),
        ("trainer.kubeflow.org", "trainjobs", "create", "get", "list", "delete"),
    }


@pytest.mark.parametrize("overlay", [overlay for overlay in OVERLAYS if overlay != "multi-node"])
def test_train_jobs_are_only_allowed_where_there_are_several_nodes(overlay: str) -> None:
    groups = {group for role in of_kind(render(overlay), "Role", "ClusterRole")
              for rule in role["rules"] for group in rule["apiGroups"]}  # fmt: skip
    assert groups == {"", "argoproj.io"}


def _break(objects: list[Object], owner: str, path: str, value: Any) -> None:
    place: Any = objects
    keys: list[Any] = [int(key) if key.isdecimal() else key for key in path.split()]
    if owner:
        [index] = [index for index, item in enumerate(objects) if title(item) == owner]
        keys = [index, *keys]
    for key in keys[:-1]:
        place = place[key]
    if keys[-1] == "+":
        place.append(value)
    elif value is REMOVED:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value

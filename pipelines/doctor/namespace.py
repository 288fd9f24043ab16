"""What must be in the namespace of the runs: Secrets with their keys, claims, the account, and its rights.

Left out: whether the values of the Secrets are right (`services` tries those that the environment has).
"""

from collections.abc import Iterator

from pipelines.doctor.check_result import CheckResult, bad, good, note
from pipelines.doctor.demands import Demands
from pipelines.doctor.place import RunPlace
from pipelines.kubeflow.kubernetes_api import Json, KubernetesApi

SECRET, CLAIM, ACCOUNT, RIGHTS, YOU = "Secrets", "claims", "account", "rights", "your rights"
Right = tuple[str, str, str]
"""Verb, API group, resource with its subresource."""
OF_A_RUN: tuple[Right, ...] = (
    ("get", "", "pods"),
    ("get", "argoproj.io", "workflows"),
    ("create", "argoproj.io", "workflowtaskresults"),
    ("patch", "argoproj.io", "workflowtaskresults"),
)
"""Of KFP's driver and launcher, and of Argo's executor (manifests/base/stage-account.yaml)."""
OF_TRAIN_JOBS: tuple[Right, ...] = (
    *((verb, "trainer.kubeflow.org", "trainjobs") for verb in ("create", "get", "list", "delete")),
    ("list", "", "pods"),
    ("get", "", "pods/log"),
)
OF_A_FOLLOWER: tuple[Right, ...] = (("list", "", "pods"), ("list", "", "events"), ("get", "", "pods/log"))
"""Of the person at `gift run --runner cluster`, who does without them."""
REVIEWS = "/apis/authorization.k8s.io/v1"


def check_secrets(kubernetes: KubernetesApi, place: RunPlace, demands: Demands) -> Iterator[CheckResult]:
    """Raises: GiftError: Kubernetes does not answer, or refuses."""
    for name, keys in demands.secrets.items():
        found = kubernetes.get(f"/api/v1/namespaces/{place.namespace}/secrets/{name}")
        if found is None:
            yield bad(SECRET, f"{name} is not in namespace {place.namespace}; make it ({_manifest(name)})")
            continue
        data = found.get("data") or {}
        missing = sorted(key for key in keys if not data.get(key))
        if missing:
            yield bad(SECRET, f"{name} lacks {', '.join(missing)}, or it is empty; add it ({_manifest(name)})")
        else:
            yield good(SECRET, f"{name} has {', '.join(sorted(keys)) or 'nothing that must be there'}")


def _manifest(name: str) -> str:
    return f"manifests/README.md, step 4: kubectl create secret generic {name} --from-env-file …"


def check_claims(kubernetes: KubernetesApi, place: RunPlace, demands: Demands) -> Iterator[CheckResult]:
    """Raises: GiftError: Kubernetes does not answer, or refuses."""
    for name in sorted(demands.claims):
        found = kubernetes.get(f"/api/v1/namespaces/{place.namespace}/persistentvolumeclaims/{name}")
        if found is None:
            yield bad(CLAIM, f"{name} is not in namespace {place.namespace}; apply manifests/components/vllm-server")
        else:
            yield good(CLAIM, f"{name} is {found.get('status', {}).get('phase', 'there')}")


def check_account(
    kubernetes: KubernetesApi, place: RunPlace, account: str, *, train_jobs: bool
) -> Iterator[CheckResult]:
    """Raises: GiftError: Kubernetes does not answer, or refuses."""
    if kubernetes.get(f"/api/v1/namespaces/{place.namespace}/serviceaccounts/{account}") is None:
        yield bad(
            ACCOUNT,
            f"{account} is not in namespace {place.namespace}; apply the overlay, or name another in "
            "cluster.service_account (manifests/README.md, step 6)",
        )
        return
    yield good(ACCOUNT, f"the run's pods are {account} in namespace {place.namespace}")
    user = f"system:serviceaccount:{place.namespace}:{account}"
    rights = OF_A_RUN + (OF_TRAIN_JOBS if train_jobs else ())
    refused = [right for right in rights if not _may(kubernetes, place.namespace, right, user)]
    if refused:
        yield bad(RIGHTS, f"{account} may not {_text(refused)}; give it a Role with that (manifests/README.md, step 6)")
    else:
        yield good(RIGHTS, f"{account} may do all that a run needs")


def check_own_rights(kubernetes: KubernetesApi, place: RunPlace) -> Iterator[CheckResult]:
    """Raises: GiftError: Kubernetes does not answer, or refuses."""
    refused = [right for right in OF_A_FOLLOWER if not _may(kubernetes, place.namespace, right, None)]
    if refused:
        yield note(
            YOU, f"you may not {_text(refused)} in namespace {place.namespace}: `gift run` can't say why a pod waits"
        )
    else:
        yield good(YOU, "`gift run` can say why a pod does not start")


def _may(kubernetes: KubernetesApi, namespace: str, right: Right, user: str | None) -> bool:
    """Whether an account, or for None whoever asks, has a right."""
    verb, group, resource = right
    name, _, subresource = resource.partition("/")
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": name, "subresource": subresource}
    kind = "SelfSubjectAccessReview" if user is None else "SubjectAccessReview"
    spec: Json = {"resourceAttributes": attributes} | ({} if user is None else {"user": user, "groups": _groups(user)})
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    answer = kubernetes.create(f"{REVIEWS}/{kind.lower()}s", review) or {}
    return bool(answer.get("status", {}).get("allowed"))


def _groups(user: str) -> list[str]:
    """Those that Kubernetes puts a service account into; roles may be bound to them."""
    namespace = user.split(":")[2]
    return ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]


def _text(rights: list[Right]) -> str:
    return ", ".join(f"{verb} {resource}" for verb, _, resource in rights)

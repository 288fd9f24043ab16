"""All that Kubernetes is asked about. What it does not answer is a note, and the next check goes on."""

from collections.abc import Iterable, Iterator

from gift.config import RunConfig
from gift.errors import GiftError
from pipelines.doctor.check_result import CheckResult, bad, good, note
from pipelines.doctor.cluster_nodes import check_nodes
from pipelines.doctor.demands import Demands
from pipelines.doctor.installed import check_retry_policy, check_storage_classes, check_time_zone
from pipelines.doctor.limits import check_limits
from pipelines.doctor.mlflow_plugin import check_mlflow_plugin
from pipelines.doctor.namespace import check_account, check_claims, check_own_rights, check_secrets
from pipelines.doctor.place import RunPlace
from pipelines.doctor.several_nodes import check_queue, check_trainer
from pipelines.kubeflow.kubernetes_api import Json, KubernetesApi, NoRightError

SUBJECT = "Kubernetes"
UNCHECKED = "not checked: Secrets, account, quota, nodes and what is installed"


def check_kubernetes(
    kubernetes: KubernetesApi, place: RunPlace, config: RunConfig, demands: Demands, host: str
) -> Iterator[CheckResult]:
    """All checks; `host` is KFP's address, for the line about another cluster."""
    try:
        api_server = _api_server(kubernetes, place)
    except GiftError as error:
        yield note(SUBJECT, f"{error}; {UNCHECKED}")
        return
    if api_server is None:
        yield note(
            SUBJECT,
            f"the cluster at {kubernetes.address} has no KFP in namespace {place.kubeflow}: the kubeconfig is another "
            f"cluster's than that of KFP at {host}, or --kubeflow-namespace must name another; {UNCHECKED}",
        )
        return
    yield good(SUBJECT, f"at {kubernetes.address}")
    if missing := _missing_namespace(kubernetes, place):
        yield missing
        return
    account = place.account_of(api_server)
    checks = {
        "Secrets": check_secrets(kubernetes, place, demands),
        "MLflow plugin": check_mlflow_plugin(kubernetes, place, config, api_server),
        "claims": check_claims(kubernetes, place, demands),
        "account": check_account(kubernetes, place, account, train_jobs=config.compute.nodes > 1),
        "your rights": check_own_rights(kubernetes, place),
        "quota": check_limits(kubernetes, place.namespace, demands),
        "nodes": check_nodes(kubernetes, demands),
        "StorageClass": check_storage_classes(kubernetes, demands),
        "Trainer": check_trainer(kubernetes, config),
        "Kueue": check_queue(kubernetes, place, config, demands),
        "retries": check_retry_policy(kubernetes, place, config),
        "time zone": check_time_zone(kubernetes, place),
    }
    for subject, results in checks.items():
        yield from _guarded(subject, results)


def _api_server(kubernetes: KubernetesApi, place: RunPlace) -> Json | None:
    """KFP's Deployment, empty where it may not be read."""
    try:
        return kubernetes.get(f"/apis/apps/v1/namespaces/{place.kubeflow}/deployments/ml-pipeline")
    except NoRightError:
        return {}


def _missing_namespace(kubernetes: KubernetesApi, place: RunPlace) -> CheckResult | None:
    try:
        found = kubernetes.get(f"/api/v1/namespaces/{place.namespace}")
    except GiftError:  # the checks in it will say more
        return None
    if found is not None:
        return None
    return bad(
        "namespace",
        f"there is no namespace {place.namespace} at {kubernetes.address}; make it (manifests/README.md, step 1), or "
        "name another in KFP_NAMESPACE",
    )


def _guarded(subject: str, results: Iterable[CheckResult]) -> Iterator[CheckResult]:
    """The results, up to a question that Kubernetes does not answer."""
    try:
        yield from results
    except GiftError as error:
        yield note(subject, f"not checked: {error}")

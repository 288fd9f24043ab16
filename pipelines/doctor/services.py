"""KFP, MLflow and the bucket, each asked as a run would ask it, with the addresses and keys of this environment.

Left out: whether the pods reach them, too; NetworkPolicies and names of services may differ there.
"""

import os
from collections.abc import Callable, Iterator

from gift.config import RunConfig
from gift.errors import GiftError, ServiceAwayError
from gift.storage import check_storage
from gift.tracking import check_tracking, tracking_version
from pipelines.doctor.check_result import CheckResult, bad, good, note
from pipelines.kubeflow.kfp_api import KfpApi
from pipelines.kubeflow.kfp_faults import NotFoundError
from pipelines.kubeflow.kfp_health import KfpHealth, read_health

KFP, MLFLOW, BUCKET = "KFP", "MLflow", "bucket"
MADE_FOR_KFP = (2, 17)
MADE_FOR_MLFLOW = 3


def check_kfp(connect: Callable[[], KfpApi], namespace: str | None, experiment: str) -> Iterator[CheckResult]:
    """`connect` raises GiftError where there is no KFP."""
    try:
        api = connect()
        health = read_health(api.read("/apis/v2beta1/healthz"))
        api.experiment_id(experiment)
    except NotFoundError as error:
        yield bad(KFP, f"{error}; it is older than 2.0, or the address lacks a path: use KFP 2.17")
        return
    except GiftError as error:
        yield bad(KFP, str(error))
        return
    yield _version(api.host, health)
    yield from _users(health, namespace)


def _version(host: str, health: KfpHealth) -> CheckResult:
    if health.version is None:
        return note(KFP, f"at {host} does not tell its version; 2.5 is the oldest that works")
    text = f"{health.version[0]}.{health.version[1]} at {host}"
    return good(KFP, text) if health.version == MADE_FOR_KFP else note(KFP, f"{text}; this was made for 2.17")


def _users(health: KfpHealth, namespace: str | None) -> Iterator[CheckResult]:
    if health.multi_user and namespace is None:
        yield bad(KFP, "it has several users: name your namespace in KFP_NAMESPACE or --kfp-namespace")
    if not health.multi_user and namespace is not None:
        yield note(KFP, f"it has no users: runs are in its own namespace, and {namespace} is not asked for")


def check_mlflow() -> CheckResult:
    """The server that MLFLOW_TRACKING_URI names."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return note(MLFLOW, "not checked: set MLFLOW_TRACKING_URI to an address that this machine reaches")
    try:
        check_tracking()
        version = tracking_version()
    except GiftError as error:
        return bad(MLFLOW, str(error))
    if version.partition(".")[0].isdigit() and int(version.partition(".")[0]) >= MADE_FOR_MLFLOW:
        return good(MLFLOW, version)
    return note(MLFLOW, f"{version or 'does not tell its version'}; this was made for 3.17")


def check_bucket(config: RunConfig) -> CheckResult:
    """The S3 that the AWS_* variables name."""
    if not os.environ.get("AWS_ACCESS_KEY_ID"):
        return note(BUCKET, "not checked: set the AWS_* variables, with an endpoint that this machine reaches")
    try:
        check_storage(config.storage.uri)
    except ServiceAwayError as error:
        return note(BUCKET, f"not checked: {error}")
    except GiftError as error:
        return bad(BUCKET, str(error))
    return good(BUCKET, f"{config.storage.uri} was written, read and deleted")

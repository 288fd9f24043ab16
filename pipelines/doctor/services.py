"""KFP, MLflow and the bucket, each asked as a run would ask it, with the addresses and keys of this environment.

Left out: whether the pods reach them, too; NetworkPolicies and names of services may differ there.
"""

import json
import os
import re
from collections.abc import Callable, Iterator

from gift.config import RunConfig
from gift.errors import GiftError, ServiceAwayError
from gift.storage import check_storage
from gift.tracking import check_tracking, tracking_version
from pipelines.doctor.check_result import CheckResult, bad, good, note
from pipelines.kubeflow.kfp_api import KfpApi
from pipelines.kubeflow.kfp_faults import NotFoundError

KFP, MLFLOW, BUCKET = "KFP", "MLflow", "bucket"
OLDEST_KFP, MADE_FOR_KFP = (2, 5), (2, 17)
"""KFP 2.4 does not put the id of a run into its tasks."""
MADE_FOR_MLFLOW = 3


def check_kfp(connect: Callable[[], KfpApi], namespace: str | None, experiment: str) -> Iterator[CheckResult]:
    """`connect` raises GiftError where there is no KFP."""
    try:
        api = connect()
        health = json.loads(api.read("/apis/v2beta1/healthz"))
        api.experiment_id(experiment)
    except NotFoundError as error:
        yield bad(KFP, f"{error}; it is older than 2.0, or the address lacks a path: use KFP 2.17")
        return
    except (GiftError, ValueError) as error:
        yield bad(KFP, str(error))
        return
    yield _version_of_kfp(api.host, str(health.get("tag_name", "")))
    yield from _users(bool(health.get("multi_user")), namespace)


def _version_of_kfp(host: str, tag: str) -> CheckResult:
    found = re.match(r"v?(\d+)\.(\d+)", tag)
    if found is None:
        return note(KFP, f"at {host} does not tell its version; 2.5 is the oldest that works")
    version = (int(found[1]), int(found[2]))
    if version < OLDEST_KFP:
        return bad(KFP, f"{tag} at {host} is too old: it gives all runs one id; upgrade it to 2.17 (2.5 is the oldest)")
    if version != MADE_FOR_KFP:
        return note(KFP, f"{tag} at {host}; this was made for 2.17, and runs with 2.5 or newer")
    return good(KFP, f"{tag} at {host}")


def _users(multi_user: bool, namespace: str | None) -> Iterator[CheckResult]:
    if multi_user and namespace is None:
        yield bad(KFP, "it has several users: name your namespace in KFP_NAMESPACE or --kfp-namespace")
    if not multi_user and namespace is not None:
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

"""The runs that the platform opens: whatever sets MLFLOW_RUN_ID, and KFP's MLflow plugin in particular.

    root (tag kfp.pipeline_run_id) ── exit-handler-1 ──┬── start-run
                                                       └── train-sft …: MLFLOW_RUN_ID of that task

KFP opens a run for the pipeline run, and below it one for each task and DAG. It ends them, too: a task's when its
process ends, a DAG's at once, and the root when the run ends. What it misses is a task whose pod was killed. Any other
MLFLOW_RUN_ID encloses the whole pipeline, and is ours to end.

Left out: the server (`settings`), and signing in to it (`credentials`).
"""

import json
import os

from gift.errors import GiftError
from gift.tracking.client import MlflowClient
from gift.tracking.credentials import ACCOUNT_SIGN_INS, AUTH
from gift.tracking.entities import Run
from gift.tracking.entries import PARENT_TAG, RUN_ID_TAG
from gift.tracking.rest import MlflowError
from gift.tracking.settings import ADDRESS, RUN, platform_names_a_run

KFP_RUN_TAG = "kfp.pipeline_run_id"
KFP_CONFIG = "KFP_MLFLOW_CONFIG"
"""The plugin's settings, as JSON, in the environment of every task."""
KFP_SECRET = "kfp-mlflow-credentials"  # noqa: S105 (the name of a Secret, not its value)
KFP_SECRET_KEYS = {
    "MLFLOW_TRACKING_TOKEN": "tokenKey",
    "MLFLOW_TRACKING_USERNAME": "usernameKey",
    "MLFLOW_TRACKING_PASSWORD": "passwordKey",
}
"""Variable → where the plugin's settings have its key in that Secret."""


def platform_run(client: MlflowClient) -> Run | None:
    """The root above MLFLOW_RUN_ID; None where that is not set.

    Raises:
        GiftError: the server has no such run.
        MlflowError: it does not answer, or refuses.
    """
    run_id = os.environ.get(RUN)
    if not run_id:
        return None
    try:
        run = client.get_run(run_id)
        while parent := run.tags.get(PARENT_TAG):
            run = client.get_run(parent)
    except MlflowError as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise GiftError(f"{RUN} is {run_id!r}, a run that this MLflow server does not have; unset it") from None
    return run


def kfp_run(client: MlflowClient, run_id: str) -> Run | None:
    """The run that KFP has opened for the pipeline run `run_id`. Raises as `platform_run`."""
    root = platform_run(client)
    return root if root is not None and root.tags.get(KFP_RUN_TAG) == run_id else None


def is_kfps(parent: Run) -> bool:
    """Whether KFP opened the run of this very pipeline run, and will end it. A pipeline within a task of another one
    is not KFP's."""
    return KFP_RUN_TAG in parent.tags and parent.tags[KFP_RUN_TAG] == parent.tags.get(RUN_ID_TAG)


def kfp_task_run(client: MlflowClient, parent: Run) -> Run | None:
    """The run that KFP has opened for this task of the pipeline run `parent`. Raises: MlflowError."""
    run_id = os.environ.get(RUN)
    return client.get_run(run_id) if run_id and is_kfps(parent) else None


def is_named(run_id: str) -> bool:
    """Whether the platform has named this very run: a stage's own is then the task's."""
    return run_id == os.environ.get(RUN)


def variables_of_platform() -> dict[str, str]:
    """What other processes of this stage need, to reach the run that the platform has named; none of it is secret.

    Raises:
        GiftError: it is reached only with the account of this pod.
    """
    if not platform_names_a_run():
        return {}
    if (auth := os.environ.get(AUTH, "")) in ACCOUNT_SIGN_INS:
        raise GiftError(
            f"{AUTH} is {auth}, but the nodes of a training run under an account that may do nothing: have KFP's "
            "MLflow plugin sign in with authType basic-auth or bearer, or set its injectUserEnvVars to false"
        )
    names = (RUN, ADDRESS, "MLFLOW_WORKSPACE")
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def platform_secret_keys() -> dict[str, str]:
    """Variable → key of the Secret `KFP_SECRET`, for the sign-in to the server of the run that KFP has named."""
    config = json.loads(os.environ.get(KFP_CONFIG) or "{}") if platform_names_a_run() else {}
    keys = config.get("credentialSecretRef") or {}
    return {variable: keys[place] for variable, place in KFP_SECRET_KEYS.items() if keys.get(place)}

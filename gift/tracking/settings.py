"""Which MLflow server a process talks to: the platform's where that has named a run, else ours.

In a pod, what comes from our Secret has names of its own (`GIFT_MLFLOW_TRACKING_URI`), since KFP's MLflow plugin may
set MLflow's: all of them where it names a run for the task (`injectUserEnvVars`), and user and password even where it
does not. Kubernetes refuses a container to which two sources give one name.

Left out: what both servers share, for example time limits and certificates. Those are MLflow's own variables.
"""

import os

from gift.config.surroundings import OWN_PREFIX

RUN = "MLFLOW_RUN_ID"
ADDRESS = "MLFLOW_TRACKING_URI"


def setting(name: str) -> str:
    """MLflow's variable `name`, for example `MLFLOW_TRACKING_URI`; empty where it is not set.

    Without what is around it: a Secret that was made from a file ends with the file's last line end.
    """
    has_own = bool(os.environ.get(OWN_PREFIX + ADDRESS)) and not platform_names_a_run()
    return os.environ.get(OWN_PREFIX + name if has_own else name, "").strip()


def platform_names_a_run() -> bool:
    """Whether the environment names a run together with its server."""
    return bool(os.environ.get(RUN) and os.environ.get(ADDRESS))

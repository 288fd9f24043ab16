"""The options of commands that talk to a cluster's Kubeflow Pipelines, and the connection that they name.

Left out: the token, which only the environment has (`pipelines.kubeflow.kfp_credentials`).
"""

from typing import TYPE_CHECKING, Annotated

import typer

from gift.errors import GiftError

if TYPE_CHECKING:
    from pipelines.kubeflow.kfp_api import KfpApi

EXPERIMENT = "gift"

KfpHost = Annotated[
    str | None, typer.Option(envvar="KF_PIPELINES_ENDPOINT", help="Address of the cluster's KFP, http(s)://…")
]
KfpNamespace = Annotated[
    str | None, typer.Option(envvar="KFP_NAMESPACE", help="Your namespace, where KFP has several users.")
]
KfpUi = Annotated[
    str | None,
    typer.Option("--ui", envvar="KF_PIPELINES_UI", help="Address of KFP's pages, for the links that are printed."),
]
KfpExperiment = Annotated[str, typer.Option(help="KFP's experiment for the runs.")]


def connect_to(host: str | None, namespace: str | None, ui: str | None = None) -> "KfpApi":
    """Raises: GiftError: there is no address, nothing answers there, or it refuses."""
    from pipelines.kubeflow.kfp_api import open_kfp_api

    if host is None:
        raise GiftError(
            "no address of Kubeflow Pipelines; set KF_PIPELINES_ENDPOINT or --kfp-host, for example to "
            "http://127.0.0.1:8888 after `kubectl port-forward --namespace kubeflow service/ml-pipeline 8888`"
        )
    return open_kfp_api(host, namespace, ui)

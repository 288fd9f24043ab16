"""`gift run --runner cluster`, `gift cluster follow` and `gift cluster terminate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gift.config import RunConfig
from gift.errors import GiftError
from pipelines.cli.kfp_options import KfpHost, KfpNamespace, KfpUi, connect_to
from pipelines.cli.session import Runs, console, escape, new_run_id, one_line_errors, print_report

if TYPE_CHECKING:
    from pipelines.kubeflow.kfp_api import KfpApi
    from pipelines.kubeflow.kubernetes_api import KubernetesApi

RunId = Annotated[str, typer.Argument(help="The id of a run, as `gift run --runner cluster` and KFP's pages show it.")]

app = typer.Typer(help="Follow or end a run on a cluster.", no_args_is_help=True)


@app.command()
def follow(
    run_id: RunId,
    kfp_host: KfpHost = None,
    kfp_namespace: KfpNamespace = None,
    ui: KfpUi = None,
    runs: Runs = Path("runs"),
) -> None:
    """Show a run's stages until it ends, and fetch its report; exit status 0 where it ended well."""
    with one_line_errors():
        _follow(connect_to(kfp_host, kfp_namespace, ui), run_id, runs)


@app.command()
def terminate(run_id: RunId, kfp_host: KfpHost = None, kfp_namespace: KfpNamespace = None) -> None:
    """End a run and its pods."""
    with one_line_errors():
        api = connect_to(kfp_host, kfp_namespace)
        from pipelines.kubeflow import cluster_run

        cluster_run.terminate(api, run_id)
        console.print(f"run {run_id} is being terminated")


def run_on_cluster(
    config: RunConfig,
    profile: str,
    image: str | None,
    runs: Path,
    kfp_host: str | None,
    kfp_namespace: str | None,
    ui: str | None,
    kfp_experiment: str,
) -> None:
    """Submit and follow a run.

    Raises:
        GiftError: it can't be submitted, or it failed.
        typer.Exit: following was interrupted.
    """
    if image is None:
        raise GiftError("--runner cluster needs --image registry/name@sha256:…, which `gift images build` prints")
    api = connect_to(kfp_host, kfp_namespace, ui)
    # kfp takes seconds to import; what can be refused is refused before that.
    from pipelines.kubeflow import cluster_run

    run_id = cluster_run.submit(api, config, new_run_id(profile), image, kfp_experiment)
    console.print(f"run [bold]{run_id}[/bold]: {escape(config.description)}", soft_wrap=True)
    console.print(f"page {api.page_of_run(run_id)}", soft_wrap=True)
    _follow(api, run_id, runs)


def _follow(api: "KfpApi", run_id: str, runs: Path) -> None:
    from pipelines.kubeflow import cluster_run
    from pipelines.kubeflow.follow import follow as follow_run

    def say(line: str) -> None:
        console.print(escape(line), soft_wrap=True, highlight=False)

    try:
        run = follow_run(api, _kubernetes(), run_id, say)
    except KeyboardInterrupt:
        console.print("\nno longer followed; the run goes on", soft_wrap=True)
        console.print(f"follow it again  gift cluster follow {run_id}", soft_wrap=True)
        console.print(f"end it           gift cluster terminate {run_id}", soft_wrap=True)
        raise typer.Exit(130) from None
    folder = cluster_run.fetch_report(run, runs)
    if folder is None:
        console.print(
            f"report      {cluster_run.report_uri(run)} (with the AWS_* variables set, "
            f"`gift cluster follow {run_id}` fetches it)",
            soft_wrap=True,
        )
        return
    print_report(folder)


def _kubernetes() -> "KubernetesApi | None":
    """None where there is none to ask, without which a run is followed all the same."""
    from pipelines.kubeflow.kubernetes_api import connect_to_kubernetes

    try:
        return connect_to_kubernetes()
    except GiftError:
        return None

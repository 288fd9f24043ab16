"""`gift doctor`: would a profile run on this cluster? One line a check; exit status 1 if it would fail."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from gift.config import RunConfig, load_profile
from gift.errors import GiftError
from pipelines.cli.compile import Image
from pipelines.cli.kfp_options import EXPERIMENT, KfpHost, KfpNamespace, connect_to
from pipelines.cli.session import Overrides, Profile, console, one_line_errors

if TYPE_CHECKING:
    from pipelines.doctor.check_result import CheckResult
    from pipelines.doctor.demands import Demands

COLOURS = {"ok": "green", "note": "yellow", "fails": "bold red"}

KubeflowNamespace = Annotated[str, typer.Option(help="The namespace that KFP itself is installed in.")]


def doctor_command(
    profile: Profile,
    image: Image,
    override: Overrides = None,
    kfp_host: KfpHost = None,
    kfp_namespace: KfpNamespace = None,
    kubeflow_namespace: KubeflowNamespace = "kubeflow",
) -> None:
    """Check a cluster against a profile, before anything is submitted; exit status 0 where nothing would fail."""
    with one_line_errors(interrupted="interrupted"):
        config = load_profile(profile, tuple(override or ()))
        # kfp and the clients take seconds to import; a mistake in the profile is answered before that.
        from pipelines.doctor.demands import demands_of

        demands = demands_of(config, image)
        failed = False
        for result in _results(config, demands, image, kfp_host, kfp_namespace, kubeflow_namespace):
            _print(result)
            failed = failed or result.state == "fails"
        raise typer.Exit(1 if failed else 0)


def _results(
    config: RunConfig, demands: "Demands", image: str, host: str | None, namespace: str | None, kubeflow: str
) -> Iterator["CheckResult"]:
    from pipelines.doctor.check_result import note
    from pipelines.doctor.kubernetes_checks import SUBJECT, UNCHECKED, check_kubernetes
    from pipelines.doctor.place import RunPlace
    from pipelines.doctor.registry import check_image
    from pipelines.doctor.services import check_bucket, check_kfp, check_mlflow
    from pipelines.kubeflow.kubernetes_api import connect_to_kubernetes

    yield from check_kfp(lambda: connect_to(host, namespace), namespace, EXPERIMENT)
    yield check_image(image)
    yield check_mlflow()
    yield check_bucket(config)
    try:
        kubernetes = connect_to_kubernetes()
    except GiftError as error:
        yield note(SUBJECT, f"{error}; {UNCHECKED}")
        return
    place = RunPlace(kubeflow, namespace or kubeflow, config.cluster.service_account)
    yield from check_kubernetes(kubernetes, place, config, demands, host or "an unknown address")


def _print(result: "CheckResult") -> None:
    state = f"[{COLOURS[result.state]}]{result.state:<5}[/]"
    console.print(f"{state}  {result.subject:<12}  {escape(result.text)}", soft_wrap=True, highlight=False)

"""`gift`: the command line. Each command checks its input, calls one function, and prints what a person needs next."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gift.config import load_profile, profile_names
from gift.errors import GiftError
from pipelines.services import Services, running_services, start_services, stop_services

if TYPE_CHECKING:
    from pipelines.local import LocalRun

app = typer.Typer(
    help="Post-train language models with GIFT as a Kubeflow pipeline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()

StateDir = Annotated[Path, typer.Option(help="Where the local services keep their data.")]
S3Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of the local S3 server.")]
MlflowPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of the local MLflow server.")]


class Runner(StrEnum):
    """Where the stages run."""

    subprocess = "subprocess"
    docker = "docker"
    cluster = "cluster"


@app.command()
def run(
    profile: Annotated[str, typer.Option(help="A name from `gift profiles`, or the path of a YAML file.")],
    runner: Annotated[Runner, typer.Option(help="Where the stages run.")] = Runner.subprocess,
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key, e.g. --set rl.steps=10.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Where reports and logs go.")] = Path("runs"),
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Run the whole pipeline, from data to report."""
    with _one_line_errors():
        config = load_profile(profile, tuple(override or ()))
        if runner is not Runner.subprocess:
            raise GiftError(f"--runner {runner.value} needs container images, which this version has none of yet")
        # kfp takes seconds to import; a mistake in the profile is answered before that.
        from pipelines import local

        run_id = local.new_run_id(profile)
        with local.stages_end_with_us(), _services(state_dir, s3_port, mlflow_port):
            local.check_before_run(config, (runs, state_dir))
            console.print(f"run [bold]{run_id}[/bold]: {escape(config.description)}", soft_wrap=True)
            finished = local.run_locally(config, run_id, runs)
        _print_result(finished)


@app.command()
def up(state_dir: StateDir = Path(".gift"), s3_port: S3Port = 8333, mlflow_port: MlflowPort = 5500) -> None:
    """Start the local services: an S3 server and an MLflow server."""
    with _one_line_errors():
        services = start_services(state_dir, s3_port=s3_port, mlflow_port=mlflow_port)
        console.print(f"MLflow UI   {services.environment['MLFLOW_TRACKING_URI']}")
        console.print(f"S3 server   {services.environment['AWS_ENDPOINT_URL_S3']}")
        console.print(f"S3 key      in {state_dir / 'credentials.json'}", soft_wrap=True)
        console.print("stop both   gift down")


@app.command()
def down(state_dir: StateDir = Path(".gift")) -> None:
    """Stop the local services; their data stays."""
    with _one_line_errors():
        console.print("stopped" if stop_services(state_dir) else "nothing was running")


@app.command()
def profiles() -> None:
    """List the profiles and what each is for."""
    table = Table("profile", "what it does", box=None)
    with _one_line_errors():
        for name in profile_names():
            table.add_row(name, escape(load_profile(name).description))
    console.print(table)


@app.command()
def report(
    path: Annotated[Path, typer.Argument(help="A report.json.")] = Path("runs/latest/report.json"),
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """Print the table of a report."""
    from gift.report.schema import load_report
    from gift.report.table import markdown_table, results_table

    with _one_line_errors():
        loaded = load_report(path)
        if markdown:
            typer.echo(markdown_table(loaded), nl=False)
        else:
            console.print(results_table(loaded))


@contextmanager
def _services(state_dir: Path, s3_port: int, mlflow_port: int) -> Iterator[None]:
    """The servers that the environment names, or else the local ones, which are stopped again if they were not up."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        console.print("using the MLflow and S3 servers that the environment names")
        yield
        return
    were_running = running_services(state_dir) is not None
    services: Services = start_services(state_dir, s3_port=s3_port, mlflow_port=mlflow_port)
    os.environ.update(services.environment)
    os.environ.update({"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "MLFLOW_DISABLE_TELEMETRY": "true"})
    for cloud_identity in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):  # they belong to another S3
        os.environ.pop(cloud_identity, None)
    try:
        yield
    finally:
        if not were_running:
            stop_services(state_dir)


def _print_result(finished: "LocalRun") -> None:
    from gift.report.table import results_table

    console.print()
    console.print(results_table(finished.report))
    for reason in finished.report.verdict.reasons:
        console.print(escape(reason), soft_wrap=True)
    registered = finished.report.registry
    console.print(f"registered  {registered.model} version {registered.version} ({registered.alias})")
    console.print(f"report      {finished.folder / 'report.html'}", soft_wrap=True)
    console.print(f"MLflow UI   {os.environ['MLFLOW_TRACKING_URI']} (`gift up` starts the local one again)")


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except GiftError as error:
        _fail(str(error), status=1)
    except KeyboardInterrupt:
        _fail("interrupted; every stage was stopped", status=130)


def _fail(message: str, status: int) -> NoReturn:
    Console(stderr=True).print(f"[bold red]error:[/bold red] {escape(message)}", soft_wrap=True, highlight=False)
    raise typer.Exit(status) from None


if __name__ == "__main__":
    app()

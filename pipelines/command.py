"""`gift`: the command line. Each command checks its input, calls one function, and prints what a person needs next."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from gift.config import load_profile, profile_names
from gift.errors import GiftError
from pipelines.check_command import app as check_app
from pipelines.dry_run import dry_run as dry_run_of
from pipelines.experiment_command import app as experiment_app
from pipelines.mirror_command import app as mirror_app
from pipelines.services import start_services, stop_services
from pipelines.session import (
    MlflowPort,
    Overrides,
    Profile,
    Runs,
    S3Port,
    StateDir,
    console,
    one_line_errors,
    session_services,
)

if TYPE_CHECKING:
    from pipelines.local import LocalRun

app = typer.Typer(
    help="Post-train language models with GIFT as a Kubeflow pipeline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(experiment_app, name="experiment")
app.add_typer(check_app, name="check")
app.add_typer(mirror_app, name="mirror")


class Runner(StrEnum):
    """Where the stages run."""

    subprocess = "subprocess"
    docker = "docker"
    cluster = "cluster"


@app.command()
def run(
    profile: Profile,
    runner: Annotated[Runner, typer.Option(help="Where the stages run.")] = Runner.subprocess,
    override: Overrides = None,
    runs: Runs = Path("runs"),
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the inputs and estimate the memory; run nothing.")
    ] = False,
) -> None:
    """Run the whole pipeline, from data to report."""
    with one_line_errors():
        config = load_profile(profile, tuple(override or ()))
        if dry_run:
            raise typer.Exit(0 if dry_run_of(config, console) else 1)
        if runner is not Runner.subprocess:
            raise GiftError(f"--runner {runner.value} needs container images, which this version has none of yet")
        # kfp takes seconds to import; a mistake in the profile is answered before that.
        from pipelines import local

        run_id = local.new_run_id(profile)
        with local.stages_end_with_us(), session_services(state_dir, s3_port, mlflow_port):
            local.check_before_run(config, (runs, state_dir))
            console.print(f"run [bold]{run_id}[/bold]: {escape(config.description)}", soft_wrap=True)
            finished = local.run_locally(config, run_id, runs)
        _print_result(finished)


@app.command()
def up(state_dir: StateDir = Path(".gift"), s3_port: S3Port = 8333, mlflow_port: MlflowPort = 5500) -> None:
    """Start the local services: an S3 server and an MLflow server."""
    with one_line_errors():
        services = start_services(state_dir, s3_port=s3_port, mlflow_port=mlflow_port)
        console.print(f"MLflow UI   {services.environment['MLFLOW_TRACKING_URI']}")
        console.print(f"S3 server   {services.environment['AWS_ENDPOINT_URL_S3']}")
        console.print(f"S3 key      in {state_dir / 'credentials.json'}", soft_wrap=True)
        console.print("stop both   gift down")


@app.command()
def down(state_dir: StateDir = Path(".gift")) -> None:
    """Stop the local services; their data stays."""
    with one_line_errors():
        console.print("stopped" if stop_services(state_dir) else "nothing was running")


@app.command()
def profiles() -> None:
    """List the profiles and what each is for."""
    table = Table("profile", "what it does", box=None)
    with one_line_errors():
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

    with one_line_errors():
        loaded = load_report(path)
        if markdown:
            typer.echo(markdown_table(loaded), nl=False)
        else:
            console.print(results_table(loaded))


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


if __name__ == "__main__":
    app()

"""`gift`: the command line. Each command checks its input, calls one function, and prints what a person needs next."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from gift.config import load_profile, profile_names
from gift.errors import GiftError
from gift.preflight.inputs import check_run
from pipelines.cli.bench import app as bench_app
from pipelines.cli.check import app as check_app
from pipelines.cli.cluster import app as cluster_app
from pipelines.cli.cluster import run_on_cluster
from pipelines.cli.compile import compile_command, lint_command
from pipelines.cli.doctor import doctor_command
from pipelines.cli.dry_run import dry_run as dry_run_of
from pipelines.cli.experiment import app as experiment_app
from pipelines.cli.explain import explain_command
from pipelines.cli.images import app as images_app
from pipelines.cli.kfp_options import EXPERIMENT, KfpExperiment, KfpHost, KfpNamespace, KfpUi
from pipelines.cli.mirror import app as mirror_app
from pipelines.cli.models.promotion import history_command, promote_command, rollback_command
from pipelines.cli.models.serve import serve_command
from pipelines.cli.reports.report import app as report_app
from pipelines.cli.runs import app as runs_app
from pipelines.cli.runs import gc_command
from pipelines.cli.schedule import app as schedule_app
from pipelines.cli.session import (
    MlflowPort,
    Overrides,
    Profile,
    Runs,
    S3Port,
    StateDir,
    console,
    escape,
    known_run,
    local_disks,
    new_run_id,
    one_line_errors,
    print_report,
    session_services,
)
from pipelines.local.services import start_services, stop_services

app = typer.Typer(
    help="Post-train language models with GIFT as a Kubeflow pipeline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(experiment_app, name="experiment")
app.add_typer(check_app, name="check")
app.add_typer(bench_app, name="bench")
app.add_typer(report_app, name="report")
app.add_typer(cluster_app, name="cluster")
app.command("compile")(compile_command)
app.command("lint")(lint_command)
app.command("doctor")(doctor_command)
app.command("explain")(explain_command)
app.command("gc")(gc_command)
app.command("promote")(promote_command)
app.command("rollback")(rollback_command)
app.command("history")(history_command)
app.command("serve")(serve_command)
app.add_typer(images_app, name="images")
app.add_typer(mirror_app, name="mirror")
app.add_typer(schedule_app, name="schedule")
app.add_typer(runs_app, name="runs")


LOCAL_OPTIONS = ("state_dir", "s3_port", "mlflow_port", "run_id")
CLUSTER_OPTIONS = ("image", "kfp_host", "kfp_namespace", "ui", "kfp_experiment")


class Runner(StrEnum):
    """Where the stages run."""

    subprocess = "subprocess"
    docker = "docker"
    cluster = "cluster"


@app.command()
def run(
    context: typer.Context,
    profile: Profile,
    runner: Annotated[Runner, typer.Option(help="Where the stages run.")] = Runner.subprocess,
    override: Overrides = None,
    runs: Runs = Path("runs"),
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
    image: Annotated[str | None, typer.Option(help="For --runner cluster: registry/name@sha256:…")] = None,
    kfp_host: KfpHost = None,
    kfp_namespace: KfpNamespace = None,
    ui: KfpUi = None,
    kfp_experiment: KfpExperiment = EXPERIMENT,
    run_id: Annotated[str | None, typer.Option(help="Go on with the run of this id, which ended early.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check inputs; estimate memory, disk, time; run nothing.")
    ] = False,
) -> None:
    """Run the whole pipeline, from data to report."""
    with one_line_errors():
        config = load_profile(profile, tuple(override or ()))
        _refuse_unused(context, runner, dry_run=dry_run)
        if dry_run:
            raise typer.Exit(0 if dry_run_of(config, console) else 1)
        if runner is Runner.cluster:
            run_on_cluster(config, profile, image, runs, kfp_host, kfp_namespace, ui, kfp_experiment)
            return
        # kfp takes seconds to import; a mistake in the profile is answered before that.
        from pipelines.local import runner as local

        run_id = known_run(run_id, runs) if run_id else new_run_id(profile)
        stage_runner, disks = local.SUBPROCESSES, local_disks(state_dir, runs)
        if runner is Runner.docker:
            from pipelines.local.docker_runner import containers

            stage_runner, disks = containers(config, run_id), local_disks(state_dir, runs, scratch=runs)
        check_run(config, (runs, state_dir), **disks)
        with (
            local.stages_end_with_us(stage_runner),
            session_services(state_dir, s3_port, mlflow_port, stage_runner.host) as mlflow_page,
        ):
            local.check_services(config)
            console.print(f"run [bold]{run_id}[/bold]: {escape(config.description)}", soft_wrap=True)
            finished = local.run_locally(config, run_id, runs, stage_runner)
        print_report(finished.folder)
        console.print(f"MLflow UI   {escape(mlflow_page)}", soft_wrap=True)


def _refuse_unused(context: typer.Context, runner: Runner, *, dry_run: bool) -> None:
    """Raises: GiftError: an option was given on the command line that this kind of run takes no notice of."""
    kind = "--dry-run" if dry_run else f"--runner {runner.value}"
    unused: tuple[str, ...] = LOCAL_OPTIONS if runner is Runner.cluster else CLUSTER_OPTIONS
    if dry_run:
        unused = ("runner", "runs", *LOCAL_OPTIONS, *CLUSTER_OPTIONS)
    sources = {name: context.get_parameter_source(name) for name in unused}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        raise GiftError(f"--{given[0].replace('_', '-')} has no meaning for {kind}; leave it out")


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

"""`gift runs`: what is left of runs on this machine."""

from pathlib import Path

import typer

from pipelines.cli.session import MlflowPort, Runs, S3Port, StateDir, console, escape, one_line_errors, session_services

app = typer.Typer(help="Look after the runs on this machine.", no_args_is_help=True)


@app.callback()
def look_after_runs() -> None:
    """`clean` stays a subcommand, though it is the only one."""


@app.command()
def clean(
    runs: Runs = Path("runs"),
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """End what runs that were killed have left: stages, temporary folders, and runs that MLflow takes for running."""
    with one_line_errors("interrupted"):
        from pipelines.local.dead_runs import clean_dead_runs

        with session_services(state_dir, s3_port, mlflow_port):
            closed = clean_dead_runs(runs)
        for run_id in closed:
            console.print(f"closed      {escape(run_id)}, which was killed", soft_wrap=True, highlight=False)
        if not closed:
            console.print("nothing to close")

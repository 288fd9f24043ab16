"""`gift check`: experiments that must come out the same way on every machine, whatever the training achieves."""

from pathlib import Path

import typer
from rich.markup import escape

from gift.config import load_profile
from pipelines.cli.session import (
    MlflowPort,
    Overrides,
    Profile,
    Runs,
    S3Port,
    StateDir,
    console,
    local_disks,
    one_line_errors,
    session_services,
)

app = typer.Typer(help="Check what the algorithm rests on, with real models.", no_args_is_help=True)


@app.command()
def normalization(
    profile: Profile,
    override: Overrides = None,
    runs: Runs = Path("runs"),
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Train a policy, then show that log Z(x) drops out of its normalised implicit rewards.

    A second check of the same configuration reuses the trained policy.
    """
    with one_line_errors():
        config = load_profile(profile, tuple(override or ()))
        # kfp takes seconds to import; a mistake in the profile is answered before that.
        from pipelines.check_normalization import check_normalization
        from pipelines.local import runner as local

        run_id = f"check-normalization-{config.digest()[:12]}"
        folder, disks = runs / run_id, local_disks(state_dir)
        with local.stages_end_with_us(), session_services(state_dir, s3_port, mlflow_port) as mlflow_page:
            local.check_before_run(config, (runs, state_dir), **disks)
            console.print(f"run [bold]{run_id}[/bold]: {escape(config.description)}", soft_wrap=True)
            folder.mkdir(parents=True, exist_ok=True)
            local.run_stages(check_normalization, config, run_id, folder)
        console.print(f"log         {folder / 'run.log'}", soft_wrap=True)
        console.print(f"MLflow UI   {escape(mlflow_page)}", soft_wrap=True)

"""What runs leave behind: `gift runs clean` on this machine, `gift gc` in a profile's store."""

from pathlib import Path
from typing import Annotated

import typer

from gift.config import load_profile
from gift.preflight.memory import GIB
from gift.retention.collect import remove_leftovers
from gift.retention.leftovers import Leftover, StoreSurvey, survey_store
from gift.retention.needed import RetentionRule
from pipelines.cli.session import (
    MlflowPort,
    Overrides,
    Profile,
    Runs,
    S3Port,
    StateDir,
    console,
    escape,
    one_line_errors,
    session_services,
)

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


def gc_command(
    profile: Profile,
    days: Annotated[float, typer.Option(min=0, help="Keep what runs of the last so many days have used.")] = 30,
    runs: Annotated[int, typer.Option(min=0, help="Keep what the newest so many runs have used.")] = 10,
    delete: Annotated[bool, typer.Option("--delete", help="Remove it; else nothing is touched.")] = False,
    override: Overrides = None,
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Show what no registered version, no run under way and no recent run needs in a profile's store; or remove it."""
    with one_line_errors("interrupted; what was not removed yet is as it was"):
        storage, rule = load_profile(profile, tuple(override or ())).storage.uri, RetentionRule(days, runs)
        with session_services(state_dir, s3_port, mlflow_port):
            survey = survey_store(storage, rule)
            chosen = remove_leftovers(storage, survey, rule) if delete else iter(survey.leftovers)
            sizes = []
            for leftover in chosen:
                _print_line("removed" if delete else "not needed", _words(storage, leftover, survey))
                sizes.append(leftover.size)
        for reason, count in survey.kept.items():
            _print_line("kept", f"{count} ({reason})")
        left = len(survey.leftovers) - len(sizes)
        _print_line("in all", f"{len(sizes)} things, {sum(sizes) / GIB:.2f} GiB{_hint(delete, left)}")


def _words(storage: str, leftover: Leftover, survey: StoreSurvey) -> str:
    age = (survey.now - leftover.modified).days
    return f"{storage}/{leftover.place}  {leftover.size / GIB:.2f} GiB, {age} days old, {leftover.kind}"


def _hint(delete: bool, left: int) -> str:
    if delete:
        return f"; {left} stay, as somebody uses or changes them now" if left else ""
    return "; with --delete they are removed"


def _print_line(what: str, words: str) -> None:
    console.print(f"{what:<11} {escape(words)}", soft_wrap=True, highlight=False)

"""`gift schedule …`: the schedules in git, and what the cluster makes of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.kfp_options import EXPERIMENT, KfpExperiment, KfpHost, KfpNamespace, connect_to
from pipelines.cli.session import console, escape, one_line_errors
from pipelines.schedules.schedule import load_schedules

if TYPE_CHECKING:
    from pipelines.schedules.plan import Change, SchedulePlan

DIFFERENT = 2
"""Exit status of `plan` where the cluster is not as git says (0: it is, 1: an error), as terraform has it."""

Schedules = Annotated[Path, typer.Option(help="The folder of the schedules.")]

app = typer.Typer(help="Keep a cluster's recurring runs as the files in schedules/ say.", no_args_is_help=True)


@app.command()
def plan(
    schedules: Schedules = Path("schedules"),
    kfp_host: KfpHost = None,
    kfp_namespace: KfpNamespace = None,
    kfp_experiment: KfpExperiment = EXPERIMENT,
) -> None:
    """Show what `apply` would change; exit status 0: nothing, 2: something."""
    with one_line_errors(interrupted="interrupted"):
        wanted = load_schedules(schedules)
        from pipelines.schedules.plan import plan_schedules

        planned = plan_schedules(connect_to(kfp_host, kfp_namespace), wanted, schedules, kfp_experiment)
        _print(planned)
        raise typer.Exit(0 if planned.is_empty else DIFFERENT)


@app.command()
def apply(
    schedules: Schedules = Path("schedules"),
    kfp_host: KfpHost = None,
    kfp_namespace: KfpNamespace = None,
    kfp_experiment: KfpExperiment = EXPERIMENT,
) -> None:
    """Create, replace, enable, disable and delete recurring runs until the cluster is as git says."""
    with one_line_errors(interrupted="interrupted; `gift schedule apply` goes on from here"):
        wanted = load_schedules(schedules)
        from pipelines.schedules.apply import apply_plan
        from pipelines.schedules.plan import plan_schedules

        api = connect_to(kfp_host, kfp_namespace)
        planned = plan_schedules(api, wanted, schedules, kfp_experiment)
        _print(planned)
        apply_plan(api, planned, kfp_experiment, lambda step: console.print(f"  {escape(step)}", soft_wrap=True))
        console.print("the cluster is as git says")


def _print(planned: "SchedulePlan") -> None:
    for change in planned.changes:
        console.print(f"[bold]{escape(change.name)}[/bold]  {_what(change)}", soft_wrap=True)
        for difference in change.differences:
            values = f"{difference.cluster} → {difference.git}"
            console.print(f"  {difference.key:<15} {escape(values)}", soft_wrap=True, highlight=False)
        if change.blocked is not None:
            console.print(f"  [bold red]blocked[/bold red] {escape(change.blocked)}", soft_wrap=True, highlight=False)
    for name in planned.left_alone:
        console.print(f"[dim]{escape(name)}  left alone: not made from a file[/dim]", soft_wrap=True)
    if planned.is_empty:
        console.print("no difference")


def _what(change: "Change") -> str:
    from pipelines.schedules.plan import Action

    match change.action:
        case Action.replace if change.by_hand:
            return "replace (it was changed by hand)"
        case Action.delete:
            return f"delete (no file has this name; {len(change.runs)} on the cluster)"
        case Action.tidy:
            return f"tidy (delete {len(change.runs) - 1} left beside the right one)"
        case _:
            return str(change.action.value)

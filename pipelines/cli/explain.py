"""`gift explain STAGE`: why a run would reuse that stage's output, or make it anew."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gift.config import load_profile
from pipelines.cli.session import (
    MlflowPort,
    Overrides,
    Profile,
    S3Port,
    StateDir,
    console,
    escape,
    one_line_errors,
    session_services,
)

if TYPE_CHECKING:
    from gift.stages.explain import DecisionChange, Explanation

SHOWN_VALUE = 60
"""Characters of a value that are shown; digests are cut to `SHOWN_DIGEST`."""
SHOWN_DIGEST = 12


def explain_command(
    stage: Annotated[str, typer.Argument(help="A stage as a run's log and MLflow name it, e.g. train-sft.")],
    profile: Profile,
    run: Annotated[str | None, typer.Option(help="A run whose stage would be tried again; else a new one.")] = None,
    override: Overrides = None,
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Say why a stage's output would be reused or made anew, naming what differs from the nearest one in the store."""
    with one_line_errors("interrupted"):
        config = load_profile(profile, tuple(override or ()))
        from gift.stages.explain import explain

        with session_services(state_dir, s3_port, mlflow_port):
            _print(explain(config, stage, run))


def _print(found: "Explanation") -> None:
    if found.reused is not None:
        console.print(f"[bold]{found.stage}[/bold] is reused from {found.reused}", soft_wrap=True, highlight=False)
        return
    if found.nearest is None:
        console.print(f"[bold]{found.stage}[/bold] is made anew: the store has none yet", soft_wrap=True)
        return
    console.print(f"[bold]{found.stage}[/bold] is made anew; from {found.nearest}", soft_wrap=True, highlight=False)
    console.print(f"it differs in {len(found.differences)} of the things that decide it:", soft_wrap=True)
    for difference in found.differences:
        console.print(f"  {escape(_words(difference))}", soft_wrap=True, highlight=False)


def _words(difference: "DecisionChange") -> str:
    kind = difference.name.partition(" ")[0]
    match difference.stored, difference.now:
        case None, str(now):
            change = f"counts now ({_shown(now)})"
        case str(stored), None:
            change = f"counts no more ({_shown(stored)})"
        case str(stored), str(now):
            change = "has changed" if kind in ("source", "code", "file") else f"{_shown(stored)} → {_shown(now)}"
        case _:
            change = ""
    return f"{difference.name}  {change}"


def _shown(value: str) -> str:
    is_digest = len(value) >= SHOWN_DIGEST and not value.strip("0123456789abcdef")
    most = SHOWN_DIGEST if is_digest else SHOWN_VALUE
    text = " ".join(value.split())
    return text if len(text) <= most else f"{text[:most]}…"

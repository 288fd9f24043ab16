"""`gift promote`, `gift rollback` and `gift history`: who is champion of a registered model, by command."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from gift import registry
from gift.errors import GiftError
from gift.promotion.by_hand import Command, promote_version, roll_back
from gift.registry import Move, RegistryView
from pipelines.cli.session import (
    MlflowPort,
    S3Port,
    StateDir,
    console,
    escape,
    one_line_errors,
    session_services,
)

NO_CHAMPION = "none"
"""What `--expected` says where there must be no champion yet."""
UNDER_WAY = "not done: its process died, or is at it; the next promotion or rollback finishes it"

Model = Annotated[str, typer.Argument(help="A registered model; a profile names it as registered_model.")]
Reason = Annotated[str, typer.Option(help="Why, in a sentence; it stays in the history.")]
Expected = Annotated[
    str | None,
    typer.Option(metavar="VERSION", help="Only if this version is champion; `none`: only if there is no champion."),
]


def promote_command(
    model: Model,
    version: Annotated[str, typer.Option(help="The number of the version that becomes champion.")],
    reason: Reason,
    expected: Expected = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also where the gate was against it, or has never judged it.")
    ] = False,
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Make a version of a registered model champion, once its checkpoint has been read and found whole."""
    with one_line_errors("interrupted; `gift history` says who is champion"):
        command = Command(model, reason, _expected(expected))
        with session_services(state_dir, s3_port, mlflow_port):
            moved = promote_version(command, _number(version), _tell, force=force)
        _print_move(model, version, moved)


def rollback_command(
    model: Model,
    reason: Reason,
    to: Annotated[str | None, typer.Option(help="A former champion; else the one before the reigning one.")] = None,
    expected: Expected = None,
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Make a former champion champion again, once its checkpoint has been read and found whole."""
    with one_line_errors("interrupted; `gift history` says who is champion"):
        command = Command(model, reason, _expected(expected))
        with session_services(state_dir, s3_port, mlflow_port):
            moved = roll_back(command, None if to is None else _number(to), _tell)
        _print_move(model, to, moved)


def history_command(
    model: Model,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """List all champions of a registered model, with who or what made them champion, and why."""
    with one_line_errors("interrupted"):
        with session_services(state_dir, s3_port, mlflow_port):
            view = registry.registered_model(model)
        if as_json:
            lines = [move.model_dump(mode="json") for move in view.history]
            typer.echo(json.dumps({"model": model, "champion": view.reigning, "history": lines}, indent=2))
        else:
            _print_history(model, view)


def _print_history(model: str, view: RegistryView) -> None:
    table = Table("", "when (UTC)", "champion", "instead of", "how", "by", "why", box=None)
    for move in view.history:
        why = move.reason if move.done else f"{move.reason} ({UNDER_WAY})"
        table.add_row(
            str(move.number),
            f"{move.at:%Y-%m-%d %H:%M:%S}",
            _version(move.version),
            _version(move.instead_of),
            move.kind,
            escape(move.by),
            escape(why),
        )
    if view.history:
        console.print(table)
    last = view.history[-1] if view.history else None
    if (last is None or last.done) and view.reigning != (last.version if last else None):
        console.print("since then somebody has moved the alias by hand; the next promotion notes it")
    console.print(f"champion of {escape(model)}: {_version(view.reigning)}", soft_wrap=True, highlight=False)


def _print_move(model: str, version: str | None, moved: Move | None) -> None:
    if moved is None:
        _tell(f"version {version} of {model} is champion already; nothing was changed")
    else:
        instead = f" instead of version {moved.instead_of}" if moved.instead_of else ""
        _tell(f"champion of {model}: version {moved.version}{instead}")


def _tell(line: str) -> None:
    console.print(escape(line), soft_wrap=True, highlight=False)


def _version(version: str | None) -> str:
    return "none" if version is None else version


def _number(version: str) -> str:
    """Raises: GiftError: it is no number of a version."""
    if not version.isdecimal() or not version.isascii():
        raise GiftError(f"{version!r} is no version; MLflow numbers them, e.g. 3")
    return str(int(version))


def _expected(expected: str | None) -> str | None:
    if expected is None:
        return registry.ANYONE
    return None if expected == NO_CHAMPION else _number(expected)

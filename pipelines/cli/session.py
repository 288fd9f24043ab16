"""What commands share: the options of a run, the services around it, what is printed of it, and faults in one line.

Left out: the commands themselves.
"""

import os
import secrets
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn
from urllib.parse import urlsplit

import typer
from rich import markup
from rich.console import Console

from gift.errors import GiftError, printable
from gift.report.schema import load_report
from gift.report.table import results_table
from gift.report.wording import alias_label
from pipelines.local.run_log import StageFailedError
from pipelines.local.server_commands import HOST
from pipelines.local.services import shared_services

console = Console()

MLFLOW_EXAMPLE = "https://mlflow.example.org"

Profile = Annotated[str, typer.Option(help="A name from `gift profiles`, or the path of a YAML file.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key, e.g. --set rl.steps=10.")
]
Runs = Annotated[Path, typer.Option(help="Where reports and logs go.")]
StateDir = Annotated[Path, typer.Option(help="Where the local services keep their data.")]
S3Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of the local S3 server.")]
MlflowPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of the local MLflow server.")]


def new_run_id(profile: str) -> str:
    """Sorts by time, says what was run, and is unique: `20260131-142500-local-3f9a`."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{Path(profile).stem}-{secrets.token_hex(2)}"


def known_run(run_id: str, runs: Path) -> str:
    """Raises: GiftError: there is no such run to go on with."""
    if not runs.is_dir() or run_id not in {path.name for path in runs.iterdir() if (path / "config.json").is_file()}:
        raise GiftError(f"there is no run {run_id} in {runs}; name one of its folders, or leave out --run-id")
    name = (runs / run_id).resolve().name
    if name != run_id:  # `latest`, which would then link to itself
        raise GiftError(f"{runs / run_id} is a link to the run {name}; say --run-id {name}")
    return run_id


def local_disks(state_dir: Path, runs: Path, scratch: Path | None = None) -> dict[str, Path | None]:
    """Where a run on this machine keeps what its stages work on, what they have made until it is stored, and its store,
    unless the environment names servers.

    Asked before `session_services`, which names the local ones.
    """
    store = None if os.environ.get("MLFLOW_TRACKING_URI") else state_dir
    return {"scratch": scratch or Path(tempfile.gettempdir()), "outbox": runs, "store": store}


@contextmanager
def session_services(state_dir: Path, s3_port: int, mlflow_port: int, host: str = HOST) -> Iterator[str]:
    """The servers that the environment names, or else the local ones, which are stopped again if they were not up.

    Yields: where a person finds MLflow's pages.
    """
    if named := os.environ.get("MLFLOW_TRACKING_URI"):
        # Not among what a command prints for people or programs to read.
        Console(stderr=True).print("using the MLflow and S3 servers that the environment names")
        yield _without_password(named)
        return
    with shared_services(state_dir, host=host, s3_port=s3_port, mlflow_port=mlflow_port) as services:
        os.environ.update(services.environment)
        direct = ",".join(filter(None, (os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), host)))
        os.environ.update({"NO_PROXY": direct, "no_proxy": direct, "MLFLOW_DISABLE_TELEMETRY": "true"})
        for cloud_identity in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):  # they belong to another S3
            os.environ.pop(cloud_identity, None)
        # `gift up` gives it this address, whatever it was for containers.
        yield f"http://{HOST}:{services.mlflow_port} (`gift up` starts the local one again)"


def _without_password(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise GiftError(f"MLFLOW_TRACKING_URI is no URL: {error}; set it to one such as {MLFLOW_EXAMPLE}") from None
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


@contextmanager
def one_line_errors(interrupted: str = "interrupted; every stage was stopped") -> Iterator[None]:
    """A `GiftError`, or a fault of a disk or a folder, becomes one line and exit status 1; an interrupt the line
    `interrupted` and 130. Below that of a stage that failed stand its own last lines."""
    try:
        yield
    except StageFailedError as error:
        _fail(str(error), status=1, below=error.last_lines)
    except GiftError as error:
        _fail(str(error), status=1)
    except OSError as error:
        _fail(": ".join(str(part) for part in (error.filename, error.strerror or error) if part), status=1)
    except KeyboardInterrupt:
        _fail(interrupted, status=130)


def print_report(folder: Path) -> None:
    """Print what `folder/report.json` says of a run: the table, the verdict, and the registered version.

    Raises:
        GiftError: it can't be read.
    """
    report = load_report(folder / "report.json")
    console.print()
    console.print(results_table(report))
    for reason in report.verdict.reasons:
        console.print(escape(reason), soft_wrap=True)
    registered = report.registry
    console.print(f"registered  {registered.model} version {registered.version} ({alias_label(report)})")
    console.print(f"report      {folder / 'report.html'}", soft_wrap=True)


def escape(text: str) -> str:
    """For the console: what looks like rich's markup, or would move the cursor, stands there as it is written."""
    return markup.escape(printable(text))


def echo_lines(text: str) -> None:
    """Print a text as it is, and as wide as it is, but for what would move the cursor."""
    for line in text.removesuffix("\n").split("\n"):
        typer.echo(printable(line))


def _fail(message: str, status: int, below: Iterable[str] = ()) -> NoReturn:
    stderr = Console(stderr=True)
    stderr.print(f"[bold red]error:[/bold red] {escape(message)}", soft_wrap=True, highlight=False)
    for line in below:
        stderr.print(f"    {escape(line)}", soft_wrap=True, highlight=False)
    raise typer.Exit(status) from None

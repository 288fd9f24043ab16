"""`gift report history`: all versions of a registered model over time, as a table here and as a page with charts."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from gift.errors import printable
from pipelines.cli.session import (
    MlflowPort,
    S3Port,
    StateDir,
    console,
    escape,
    one_line_errors,
    session_services,
)

OUTPUT = Path("history.html")


def model_history_command(
    model: Annotated[str, typer.Argument(help="A registered model; a profile names it as registered_model.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the page goes.")] = OUTPUT,
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Draw champion and candidates of a registered model over time, and list them."""
    from gift.promotion.model_history import read_model_history
    from gift.report.model_history.html import render_model_history
    from gift.report.model_history.table import history_notes, history_rows

    with one_line_errors("interrupted"):
        with session_services(state_dir, s3_port, mlflow_port):
            history = read_model_history(model)
        output.write_text(render_model_history(history), encoding="utf-8")
        header, *rows = history_rows(history)
        table = Table(*header, box=None)
        for row in rows:
            table.add_row(*(escape(printable(cell)) for cell in row))
        console.print(table)
        for note in history_notes(history):
            console.print(escape(printable(note)), soft_wrap=True, highlight=False)
        console.print(f"page        {escape(printable(str(output)))}", soft_wrap=True, highlight=False)

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


def lineage_command(
    model: Annotated[str, typer.Argument(help="A registered model; a profile names it as registered_model.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the page goes.")] = OUTPUT,
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Draw champion and candidates of a registered model over time, and list them."""
    from gift.promotion.lineage import read_lineage
    from gift.report.lineage.html import render_lineage
    from gift.report.lineage.table import lineage_notes, lineage_rows

    with one_line_errors("interrupted"):
        with session_services(state_dir, s3_port, mlflow_port):
            lineage = read_lineage(model)
        output.write_text(render_lineage(lineage), encoding="utf-8")
        header, *rows = lineage_rows(lineage)
        table = Table(*header, box=None)
        for row in rows:
            table.add_row(*(escape(printable(cell)) for cell in row))
        console.print(table)
        for note in lineage_notes(lineage):
            console.print(escape(printable(note)), soft_wrap=True, highlight=False)
        console.print(f"page        {escape(printable(str(output)))}", soft_wrap=True, highlight=False)

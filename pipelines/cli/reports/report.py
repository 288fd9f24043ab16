"""`gift report show | verify | reproduce | compare | export | history`.

Left out: what is checked and how (`gift.verification`).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from gift.errors import printable
from gift.progress import Progress
from gift.report.schema import ModelName, load_report
from gift.report.wording import benchmark_label, score_text, signed
from gift.verification.finding import ReportFinding
from pipelines.cli.reports.history import model_history_command
from pipelines.cli.session import (
    MlflowPort,
    S3Port,
    StateDir,
    console,
    echo_lines,
    escape,
    one_line_errors,
    session_services,
)

app = typer.Typer(no_args_is_help=True, help="Show a run's report, check it, and compare it with others.")
app.command("history")(model_history_command)

ReportFile = Annotated[Path, typer.Argument(help="A report.json.")]
LATEST = Path("runs/latest/report.json")
STYLES = {"holds": "green", "differs": "bold red", "unknown": "yellow"}


@app.command("show")
def show_report(
    path: ReportFile = LATEST,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """Print the table of a report."""
    from gift.report.table import markdown_table, results_table

    with one_line_errors():
        loaded = load_report(path)
        if markdown:
            echo_lines(markdown_table(loaded))
        else:
            console.print(results_table(loaded))


@app.command()
def verify(
    path: ReportFile = LATEST,
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Fetch the answers and compute every number and the verdict again; status 1 unless all was checked and holds."""
    from gift.verification.recompute import verify_report

    with one_line_errors():
        loaded = load_report(path)
        with session_services(state_dir, s3_port, mlflow_port):
            _tell(verify_report(loaded))


@app.command()
def reproduce(
    path: ReportFile = LATEST,
    model: Annotated[list[str], typer.Option(help="base, sft or candidate; may be repeated.")] = ["candidate"],  # noqa: B006
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Evaluate again from the recorded configuration; status 1 where a number moved by more than its error."""
    from gift.verification.reproduce import reproduce_report

    with one_line_errors():
        loaded, models = load_report(path), [_model(name) for name in model]
        lines: dict[str, Progress] = {}

        def progress(task: str, done: int, total: int) -> None:
            lines.setdefault(task, Progress(task, total)).update(done, ())

        with session_services(state_dir, s3_port, mlflow_port):
            _tell(reproduce_report(loaded, models, progress))


@app.command("compare")
def compare_reports(
    first: ReportFile,
    second: ReportFile,
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Compare two reports, problem by problem where both evaluations are there and asked the same."""
    from gift.verification.compare import reports_beside

    with one_line_errors():
        reports = load_report(first), load_report(second)
        names = [escape(printable(report.run_id)) for report in reports]
        table = Table("", "", *names, "second − first, points", "problems")
        with session_services(state_dir, s3_port, mlflow_port):
            for row in reports_beside(*reports):
                interval = f"{signed(row.difference)} ({signed(row.low)} to {signed(row.high)})"
                moved = f"{row.moved} of {row.first.n} moved" if row.paired else "not the same, or not there"
                scores = score_text(row.first), score_text(row.second)
                table.add_row(row.model, printable(benchmark_label(row.benchmark)), *scores, interval, moved)
        console.print(table)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where to; what an earlier export of the report left is replaced.")],
    organisation: Annotated[str, typer.Option(help="Who publishes the results and has trained the model.")],
    path: Annotated[Path, typer.Option("--report", help="A report.json.")] = LATEST,
    state_dir: StateDir = Path(".gift"),
    s3_port: S3Port = 8333,
    mlflow_port: MlflowPort = 5500,
) -> None:
    """Write the scores and every answer of all models in the format of Every Eval Ever, for others' tools."""
    from gift.report.every_eval_ever import write_every_eval_ever
    from gift.verification.stored import MODEL_STAGES, stored_evaluation

    with one_line_errors():
        loaded = load_report(path)
        with session_services(state_dir, s3_port, mlflow_port):
            for model in MODEL_STAGES:
                found = stored_evaluation(loaded, model)
                written = write_every_eval_ever(loaded, model, found.results, found.answers, organisation, folder)
                echo_lines("\n".join(map(str, written)))


def _model(name: str) -> ModelName:
    match name:
        case "base" | "sft" | "candidate":
            return name
        case _:
            raise typer.BadParameter(f"{name!r} is none of base, sft and candidate")


def _tell(findings: Iterable[ReportFinding]) -> None:
    """Print them as they come.

    Raises:
        typer.Exit: with status 1, where something differs or can't be checked: what was not verified is no success.
    """
    told: list[str] = []
    for finding in findings:
        told.append(finding.kind)
        line = Text.assemble((f"{finding.kind:<8} ", STYLES[finding.kind]), printable(finding.text))
        console.print(line, soft_wrap=True)
    counts = {kind: told.count(kind) for kind in STYLES}
    console.print(f"{counts['holds']} hold, {counts['differs']} differ, {counts['unknown']} can't be checked from here")
    if counts["holds"] < len(told):
        raise typer.Exit(1)

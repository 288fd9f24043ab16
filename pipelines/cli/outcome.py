"""What a person sees of a finished run: the table, the verdict, the registered version, and where the report is."""

from pathlib import Path

from gift.report.schema import load_report
from gift.report.table import results_table
from gift.report.wording import alias_label
from pipelines.cli.session import console, escape


def print_report(folder: Path) -> None:
    """Print what `folder/report.json` says.

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

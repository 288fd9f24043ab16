"""The result in one small table: for the terminal, and for a README.

Left out: secondary metrics and settings, which are in `report.json` and `report.html`.
"""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from gift.errors import printable
from gift.report.schema import Report
from gift.report.wording import benchmark_label, candidate_label, gain_text, model_labels, score_text


def results_table(report: Report) -> Table:
    """Models as rows, benchmarks as columns, and what training added to SFT as the last row."""
    header, *rows, difference = ([printable(cell) for cell in row] for row in _rows(report))
    table = Table(title=Text("Accuracy ± standard error"), title_style="", header_style="bold")
    for column, text in enumerate(header):
        table.add_column(Text(text), justify="left" if column == 0 else "right")
    for label, *cells in rows:
        table.add_row(Text(label), *map(Text, cells), style="bold" if label == candidate_label(report) else "")
    table.add_section()
    table.add_row(*map(Text, difference))
    return table


def markdown_table(report: Report) -> str:
    """The same table in GitHub Markdown, ending in a newline."""
    return markdown_rows(_rows(report))


def markdown_rows(rows: Sequence[Sequence[str]]) -> str:
    """A GitHub Markdown table whose first row is the header; all columns but the first are aligned to the right."""
    header, *body = ([_escaped(cell) for cell in row] for row in rows)
    alignment = ["---", *("---:" for _ in header[1:])]
    return "".join(f"| {' | '.join(row)} |\n" for row in (header, alignment, *body))


def _rows(report: Report) -> list[list[str]]:
    """Header, one row per model, and the row of differences."""
    benchmarks = report.benchmarks
    rows = [["", *(f"{benchmark_label(name)} (n = {_problems(report, name)})" for name in benchmarks)]]
    for model, label in model_labels(report).items():
        scores = report.models.get(model, {})
        rows.append([label, *(score_text(scores.get(name)) for name in benchmarks)])
    rows.append([f"{candidate_label(report)} − SFT, points", *(gain_text(report, name) for name in benchmarks)])
    return rows


def _problems(report: Report, benchmark: str) -> str:
    counts = dict.fromkeys(scores[benchmark].n for scores in report.models.values() if benchmark in scores)
    return " / ".join(f"{count:,}" for count in counts)


def _escaped(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")

"""The page of `gift report history`: one self-contained file, without scripts or anything from the network.

Names come from the registry, where anybody may write: the template escapes every value, and the page's own content
security policy forbids scripts and requests.
"""

from datetime import UTC
from pathlib import Path

from gift.report.model_history.chart import history_chart
from gift.report.model_history.schema import ModelHistory
from gift.report.model_history.table import history_notes, history_rows
from gift.report.pages import page_template
from gift.report.wording import benchmark_label

TEMPLATE = "model_history.html.jinja"


def render_model_history(history: ModelHistory) -> str:
    """The page; the same history gives the same bytes."""
    header, *rows = history_rows(history)
    return page_template(TEMPLATE, Path(__file__).parent).render(
        history=history,
        at=history.at.astimezone(UTC).strftime("%d %b %Y, %H:%M UTC"),
        charts=[(benchmark_label(name), history_chart(history, name)) for name in history.benchmarks],
        header=header,
        rows=rows,
        notes=history_notes(history),
    )

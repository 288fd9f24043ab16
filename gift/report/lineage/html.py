"""The page of `gift report history`: one self-contained file, without scripts or anything from the network.

Names come from the registry, where anybody may write: the template escapes every value, and the page's own content
security policy forbids scripts and requests.
"""

from datetime import UTC
from pathlib import Path

from gift.report.lineage.chart import lineage_chart
from gift.report.lineage.schema import Lineage
from gift.report.lineage.table import lineage_notes, lineage_rows
from gift.report.pages import page_template
from gift.report.wording import benchmark_label

TEMPLATE = "lineage.html.jinja"


def render_lineage(lineage: Lineage) -> str:
    """The page; the same lineage gives the same bytes."""
    header, *rows = lineage_rows(lineage)
    return page_template(TEMPLATE, Path(__file__).parent).render(
        lineage=lineage,
        at=lineage.at.astimezone(UTC).strftime("%d %b %Y, %H:%M UTC"),
        charts=[(benchmark_label(name), lineage_chart(lineage, name)) for name in lineage.benchmarks],
        header=header,
        rows=rows,
        notes=lineage_notes(lineage),
    )

"""Two reports are held against each other where they asked the same."""

from gift.verification.compare import reports_beside
from tests.gift.verification.stored_reports import Store


def test_two_reports_are_compared_problem_by_problem_where_they_asked_the_same(store: Store) -> None:
    report = store()
    rows = list(reports_beside(report, report))
    assert len(rows) == 7
    assert all(row.paired and row.moved == 0 and row.difference == 0 for row in rows)
    lost = {name: a.model_copy(update={"digest": "0" * 64}) for name, a in report.artifacts.items()}
    apart = list(reports_beside(report, report.model_copy(update={"artifacts": lost})))
    assert not any(row.paired for row in apart)
    (sft,) = [row for row in apart if (row.model, row.benchmark) == ("sft", "heldout")]
    assert sft.low < sft.difference == 0 < sft.high

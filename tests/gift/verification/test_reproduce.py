"""An evaluation that is done again says the same, or which number moved."""

import re

import pytest

from gift.verification.reproduce import reproduce_report
from tests.gift.evaluation.rote_model import PROMPT, no_progress, says
from tests.gift.verification.stored_reports import WRONG, Store


def test_an_evaluation_done_again_says_the_same(store: Store) -> None:
    report = store()
    prompted = report.config | {"prompt": PROMPT}
    findings = list(reproduce_report(report.model_copy(update={"config": prompted}), ["candidate"], no_progress))
    assert [finding.kind for finding in findings] == ["holds", "holds"]
    assert all(re.search(r"(\d+\.\d%) then, \1 now, problem by problem the same$", f.text) for f in findings)


def test_a_number_that_moves_by_more_than_its_error_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    report = store()
    says(monkeypatch, lambda _, asked: [WRONG for _ in asked])
    prompted = report.config | {"prompt": PROMPT}
    findings = list(reproduce_report(report.model_copy(update={"config": prompted}), ["candidate"], no_progress))
    assert [finding.kind for finding in findings] == ["differs", "differs"]
    assert "100.0% then, 0.0% now, 8 of 8 problems score otherwise" in findings[0].text

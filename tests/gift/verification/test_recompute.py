"""Every number is computed again from the answers in a real store: what was changed is named, and what holds holds."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gift.evaluation.answers import ANSWERS_FILE, read_answers
from gift.evaluation.results import RESULTS_FILE, load_results
from gift.report.answer_changes import changed_answers
from gift.verification.recompute import verify_report
from gift.verification.stored import stored_evaluation
from tests.gift.verification.stored_reports import WRONG, Claim, Store, texts


def test_an_honest_report_holds(store: Store) -> None:
    findings = list(verify_report(store()))
    assert {finding.kind for finding in findings} == {"holds"}
    found = [finding.text for finding in findings]
    assert "candidate, heldout_sampled: 8 problems, 32 answers, judged again" in found
    assert found[-1] == "verdict: promote"
    outputs, sections = 2, ["report", "data", "registry", "samples"]
    assert len(found) == outputs + len(sections) + 7 + 2 + 4 + 1


def _changed(name: str, change: Callable) -> Callable:
    def apply(model, results, answers):
        return change(results, answers) if model == name else (results, answers)

    return apply


def _with_answer(place: int, **values) -> Callable:
    return lambda results, answers: (
        results,
        [replace(a, **values) if i == place else a for i, a in enumerate(answers)],
    )


def _flip_results(results, answers):
    changed = results["heldout"]
    return results | {"heldout": changed.model_copy(update={"correct": (0.0, *changed.correct[1:])})}, answers


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_with_answer(0, score=0.0), r"problem key/0@\w+ scores 1 in results.json, and its answers 0"),
        (_flip_results, r"problem key/0@\w+ scores 0 in results.json, and its answers 1"),
        (lambda results, answers: (results, answers[1:]), r"candidate, heldout: problem key/0@\w+ has no answers"),
        (lambda results, answers: (results, answers[:-1]), r"has the samples \[0, 1, 2\], expected 4"),
        (_with_answer(2, completion=WRONG), r"sample 0 of problem key/2@\w+ has the score 1, and is wrong today"),
        (_with_answer(2, reference="5"), r"problem key/2@\w+ was asked or judged by other texts than its name says"),
        (_with_answer(2, prompt="Say 17."), r"was asked or judged by other texts than its name says"),
        (_with_answer(3, answer="0"), r"sample 0 of problem key/3@\w+ says '24' today, not '0'"),
        (_with_answer(1, tokens=999), r"mean_completion_tokens is [\d.]+ in the report, and [\d.]+ by the answers"),
    ],
)
def test_what_was_changed_in_the_store_is_named(store: Store, change: Callable, found: str) -> None:
    findings = list(verify_report(store(_changed("candidate", change))))
    assert re.search(found, texts(iter(findings), "differs")[0])


def test_a_number_that_was_changed_in_the_report_is_named(store: Store, claimed: Claim) -> None:
    report = store()
    scores = report.models["candidate"] | {
        "heldout": report.models["candidate"]["heldout"].model_copy(update={"accuracy": 0.5})
    }
    raised = report.model_copy(update={"models": report.models | {"candidate": scores}})
    assert texts(verify_report(claimed(raised)), "differs") == [
        "candidate, heldout: accuracy is 0.5 in the report, and 1 by the answers"
    ]
    comparison = report.verdict.comparisons[0].model_copy(update={"difference": 0.9})
    verdict = report.verdict.model_copy(update={"comparisons": (comparison, *report.verdict.comparisons[1:])})
    (text,) = texts(verify_report(claimed(report.model_copy(update={"verdict": verdict}))), "differs")
    assert text.startswith("candidate - sft, heldout: +50.00 points")


def test_the_scores_of_a_champion_are_not_left_out(store: Store, claimed: Claim) -> None:
    report = store(reigns=True)
    models = {name: scores for name, scores in report.models.items() if name != "champion"}
    assert texts(verify_report(claimed(report.model_copy(update={"models": models}))), "differs") == [
        f"champion, {benchmark}: the report has no such benchmark" for benchmark in ("heldout", "heldout_sampled")
    ]


def test_the_scores_of_a_champion_are_computed_again_like_the_others(store: Store, claimed: Claim) -> None:
    report = store(reigns=True)
    assert "champion, heldout_sampled: 8 problems, 32 answers, judged again" in texts(verify_report(report), "holds")
    scores = report.models["champion"]["heldout"].model_copy(update={"accuracy": 0.25})
    lowered = report.models | {"champion": report.models["champion"] | {"heldout": scores}}
    assert texts(verify_report(claimed(report.model_copy(update={"models": lowered}))), "differs") == [
        "champion, heldout: accuracy is 0.25 in the report, and 0.5 by the answers"
    ]


def test_answers_that_changed_are_those_of_the_store(store: Store, claimed: Claim) -> None:
    report = store()
    sft, candidate = (stored_evaluation(report, model).answers for model in ("sft", "candidate"))
    shown, counts = changed_answers(sft, candidate)
    told = report.model_copy(update={"answered_twice": shown, "answer_changes": counts})
    assert "changes on heldout: 4 better, 0 worse, 4 same" in texts(verify_report(told), "holds")
    embellished = (shown[0].model_copy(update={"question": "How are you?"}), *shown[1:])
    fewer = counts | {"heldout_sampled": counts["heldout_sampled"] | {"worse": 7}}
    changed = told.model_copy(update={"answered_twice": embellished, "answer_changes": fewer})
    first, second = texts(verify_report(claimed(changed)), "differs")
    assert first == "changes on heldout: the report shows other answers than were given"
    assert second.startswith("changes on heldout_sampled: ")
    assert ", 7 worse, " in second


def test_other_data_and_a_lost_evaluation_are_named(store: Store, claimed: Claim) -> None:
    report = store()
    other = report.artifacts["prepare-data"].model_copy(update={"digest": "0" * 64})
    lost = report.artifacts["evaluate-sft"].model_copy(update={"uri": "s3://gift/verification/nowhere"})
    artifacts = report.artifacts | {"prepare-data": other, "evaluate-sft": lost}
    findings = list(verify_report(claimed(report.model_copy(update={"artifacts": artifacts}))))
    data, sft = texts(iter(findings), "differs")
    assert data.endswith("/data has another content by now")
    assert sft.startswith("sft: s3://gift/verification/nowhere is not there or not complete")
    assert texts(iter(findings), "unknown") == ["verdict: not computed again, as an evaluation is missing"]


def test_what_is_stored_is_read_back(store: Store, tmp_path: Path) -> None:
    store()
    assert load_results(tmp_path / "candidate" / RESULTS_FILE)["heldout"].accuracy == 1.0
    assert len(read_answers(tmp_path / "candidate" / ANSWERS_FILE)) == 40

"""A verdict is the one that the gate gives to the stored evaluations, or it is named."""

from gift.verification.recompute import verify_report
from tests.gift.verification.stored_reports import Claim, Store, texts


def test_a_verdict_that_does_not_follow_is_named(store: Store, claimed: Claim) -> None:
    report = store()
    stricter = [{"benchmark": "heldout", "at_least": 0.9}]
    config = report.config | {"gate": report.config["gate"] | {"benchmarks": stricter}}
    assert texts(verify_report(claimed(report.model_copy(update={"config": config}))), "differs") == [
        "verdict: keep by the answers, and the gate said promote"
    ]
    verdict = report.verdict.model_copy(update={"promoted": False, "decision": "keep"})
    assert texts(verify_report(claimed(report.model_copy(update={"verdict": verdict}))), "differs") == [
        "verdict: the report says keep, and the gate promote"
    ]
    reasons = ("Promote: it looks good.", *report.verdict.reasons[1:])
    verdict = report.verdict.model_copy(update={"reasons": reasons})
    assert texts(verify_report(claimed(report.model_copy(update={"verdict": verdict}))), "differs") == [
        "verdict: the same decision, for other reasons than the report gives"
    ]


def test_a_verdict_against_a_champion_is_computed_from_the_evaluation_of_this_run(store: Store, claimed: Claim) -> None:
    report = store(reigns=True)
    findings = list(verify_report(report))
    assert {finding.kind for finding in findings} == {"holds"}
    assert [finding.text.partition(":")[0] for finding in findings][-7:-1] == [
        f"candidate - {other}, {benchmark}"
        for benchmark in ("heldout", "heldout_sampled")
        for other in ("sft", "base", "champion")
    ]
    lost = {name: artifact for name, artifact in report.artifacts.items() if name != "evaluate-champion"}
    findings = list(verify_report(claimed(report.model_copy(update={"artifacts": lost}))))
    assert [text.partition(":")[0] for text in texts(iter(findings), "differs")] == [
        "champion",
        "candidate - champion, heldout",
        "candidate - champion, heldout_sampled",
    ]
    (text,) = texts(iter(findings), "unknown")
    assert text.startswith("verdict: not computed again: the report names no output of evaluate-champion")

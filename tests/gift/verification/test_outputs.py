"""What follows from no answer is held against the manifests, and against the report that the run stored itself."""

import re

import pytest

from gift.report.schema import (
    BenchmarkOverlap,
    Report,
    Sample,
)
from gift.verification.recompute import verify_report
from tests.gift.verification.stored_reports import Claim, Store, Tampering, texts


def _having(**values) -> Tampering:
    return lambda report: report.model_copy(update=values)


def _in(section: str, **values) -> Tampering:
    """Of the verdict, the registry, …; what is a dictionary keeps its other entries."""

    def tamper(report: Report) -> Report:
        old = getattr(report, section)
        new = old | values if isinstance(old, dict) else old.model_copy(update=values)
        return report.model_copy(update={section: new})

    return tamper


def _in_score(**values) -> Tampering:
    """Of the candidate on held-out problems; metrics and settings keep their other entries."""

    def tamper(report: Report) -> Report:
        scores = report.models["candidate"]
        kept = {name: getattr(scores["heldout"], name) | value for name, value in values.items()}
        score = scores["heldout"].model_copy(update=kept)
        return report.model_copy(update={"models": report.models | {"candidate": scores | {"heldout": score}}})

    return tamper


def _in_comparison(**values) -> Tampering:
    def tamper(report: Report) -> Report:
        first, *others = report.verdict.comparisons
        return _in("verdict", comparisons=(first.model_copy(update=values), *others))(report)

    return tamper


def _in_output(stage: str, **values) -> Tampering:
    def tamper(report: Report) -> Report:
        return _in("artifacts", **{stage: report.artifacts[stage].model_copy(update=values)})(report)

    return tamper


def _without_the_worst_comparison(report: Report) -> Report:
    return _in("verdict", comparisons=report.verdict.comparisons[1:])(report)


def _with_one_more_reason(report: Report) -> Report:
    return _in("verdict", reasons=(*report.verdict.reasons, "It looks good."))(report)


def _with_more_rows(report: Report) -> Report:
    return _in("data", train=report.data["train"].model_copy(update={"rows": 7_473}))(report)


SHOWN_OTHERWISE = Sample(question="1 + 1?", final_answer="2", completions={"sft": "2"}, correct={"sft": True})


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (_without_the_worst_comparison, r"candidate - sft, heldout: the report leaves it out"),
        (_in_comparison(n=99_999), r"candidate - sft, heldout: .*; n is 99999 in the report, and 8 by the answers"),
        (
            _in_comparison(confidence=0.5),
            r"candidate - sft, heldout: .*; confidence is 0.5 in the report, and 0.95 by the answers",
        ),
        (_in_comparison(name="candidate - foo"), r"candidate - foo, heldout: there are no such two evaluations"),
        (_in_comparison(name=""), r", heldout: there are no such two evaluations"),
        (_in_comparison(name="sft"), r"sft, heldout: there are no such two evaluations"),
        (
            _in_score(metrics={"unjudged": 0.9}),
            r"candidate, heldout: unjudged is 0.9 in the report, and 0 by the answers",
        ),
        (
            _in_score(metrics={"mean_completion_characters": 1.0}),
            r"candidate, heldout: mean_completion_characters is 1 in the report, and [\d.]+ by the answers",
        ),
        (
            _in_score(metrics={"pass@64": 1.0}),
            r"candidate, heldout: pass@64 is 1 in the report, and missing in results.json",
        ),
        (
            _in_score(settings={"decoding": {"temperature": 0.1}}),
            r"candidate, heldout: settings.decoding.temperature is 0.1 in the report, and \S+ in results.json",
        ),
        (
            _in_score(settings={"seed": 123}),
            r"candidate, heldout: settings.seed is 123 in the report, and 0 in results.json",
        ),
        (_having(samples=(SHOWN_OTHERWISE,)), r"samples: 0.question is 1 \+ 1\? in the report, and Which key opens"),
        (_having(samples=()), r"samples: 0.question is missing in the report"),
        (_having(answer_changes={}, answered_twice=()), r"changes on heldout: none in the report, and 4 better"),
        (
            _having(contamination={"heldout": BenchmarkOverlap(problems=8, trained_on=0, overlapping=8)}),
            r"data: contamination.heldout.trained_on is 0 in the report, and 8 by the manifest",
        ),
        (_with_more_rows, r"data: rows.train is 7473 in the report, and 8 by the manifest"),
        (_in_output("convert-candidate", digest="0" * 64), r"convert-candidate: s3://\S+/model has another content"),
        (_in("registry", model="other"), r"registry: model is other in the report"),
        (_in("registry", source="s3://gift/x"), r"registry: source is s3://gift/x in the report"),
        (_in("verdict", promoted=False), r"verdict: promoted is False in the report, and True by the gate"),
        (_in("verdict", champion="7"), r"verdict: champion is 7 in the report, and None by the gate"),
        (_with_one_more_reason, r"verdict: the same decision, for other reasons than the report gives"),
    ],
)
def test_what_a_run_itself_says_otherwise_than_its_outputs_is_named(
    store: Store, claimed: Claim, tamper: Tampering, found: str
) -> None:
    differences = texts(verify_report(claimed(tamper(store()))), "differs")
    assert re.search(f"^{found}", differences[0])


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (_in("config", seed=999), "config.seed is 999 in the report, and 0 in the one that the run stored"),
        (_in("registry", version="77"), "registry.version is 77 in the report, and 1 in the one that the run stored"),
        (_in("seconds", **{"train-policy": 1.0}), "seconds.train-policy is 1 in the report, and 60 in the one that"),
        (_having(curves={}), "curves.train-policy.reward.0.0 is missing in the report, and 0 in the one that the run"),
        (_in("provenance", git_sha="1" * 40), f"provenance.git_sha is {'1' * 40} in the report, and {'0' * 40} in"),
    ],
)
def test_what_nothing_computes_again_is_held_against_the_report_that_the_run_stored(
    store: Store, tamper: Tampering, found: str
) -> None:
    (text,) = texts(verify_report(tamper(store())), "differs")
    assert text.startswith(f"report: {found}")


@pytest.mark.parametrize(
    "tamper",
    [
        _having(run_id="another-run"),
        _in("config", storage={"uri": "s3://gift/verification/nowhere"}),
    ],
)
def test_a_report_whose_run_is_not_in_the_store_is_not_verified(store: Store, tamper: Tampering) -> None:
    own, verdict = texts(verify_report(tamper(store())), "unknown")
    assert own.startswith("report: not held against the one that the run")
    assert verdict.startswith("verdict: not computed again: ")

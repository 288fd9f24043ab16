"""A report is checked against real evaluations in a real store: what was changed is named, and what holds holds."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from gift.config import PromptFormat, RunConfig, load_profile
from gift.data.problems import write_problems
from gift.data.splits import SPLITS
from gift.evaluation.answers import ANSWERS_FILE, Answer, by_problem, read_answers, write_answers
from gift.evaluation.harness import evaluate_model
from gift.evaluation.results import RESULTS_FILE, BenchmarkResult, load_results, save_results
from gift.execution.output import complete_manifest
from gift.fingerprint.files import sha256_of
from gift.gate.paired import PairedDifference
from gift.gate.verdict import VERDICT_FILE, BenchmarkVerdict, Opponent, decide
from gift.report.answer_changes import changed_answers
from gift.report.schema import (
    REPORT_FOLDER,
    AccuracyDifference,
    Artifact,
    BenchmarkOverlap,
    DataSet,
    RegisteredVersion,
    Report,
    ReportedVerdict,
    Sample,
    Score,
    StageCost,
    save_report,
)
from gift.storage import upload_directory
from gift.verification.again import reproduce_report
from gift.verification.beside import reports_beside
from gift.verification.finding import ReportFinding
from gift.verification.recompute import verify_report
from gift.verification.stored import stored_evaluation
from pipelines.local.services import Services
from tests.gift.evaluation.rote_model import KEYS, PROMPT, no_progress, says, write_rote_model

MODELS = ("base", "sft", "candidate")
WRONG = "I do not know"


@pytest.fixture(scope="module")
def config() -> RunConfig:
    benchmarks = (
        "[{task: heldout, max_new_tokens: 24}, {task: heldout_sampled, samples: 4, max_new_tokens: 24}, "
        "{task: heldout_partial, max_new_tokens: 8}]"
    )
    asked = "[{benchmark: heldout, at_least: 0.0}, {benchmark: heldout_sampled, not_worse_than: 0.5}]"
    gate = f"gate={{benchmarks: {asked}, confidence: 0.8}}"
    return load_profile("local", (f"evaluation.benchmarks={benchmarks}", "evaluation.threads=1", gate))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verification")
    for split in SPLITS:
        write_problems(folder / f"data/{split}.jsonl", KEYS)
    (folder / "model").mkdir()
    write_rote_model(folder / "model")
    return folder


@pytest.fixture(scope="module")
def evaluated(config: RunConfig, folder: Path) -> dict[str, tuple[dict[str, BenchmarkResult], list[Answer]]]:
    """The base model knows nothing, the SFT model every second answer; the candidate is the model itself."""
    found = {}
    for name in MODELS:
        with pytest.MonkeyPatch.context() as patch:
            if name != "candidate":
                said = iter(range(10_000))
                every = 2 if name == "sft" else 10_000

                def answer(_, asked, said=said, every=every):
                    return [_right(one) if next(said) % every == 1 else WRONG for one in asked]

                says(patch, answer)
            found[name] = evaluate_model(
                folder / "model",
                folder / "data",
                config.evaluation.of_model(base=name == "base"),
                PromptFormat(template=PROMPT),
                config.seed,
                torch.device("cpu"),
                no_progress,
            )
    return found


def _right(request) -> str:
    return f"#### {request.doc['final_answer']}"


Store = Callable[..., Report]
Claim = Callable[[Report], Report]
COUNTS = {f"rows.{split}": str(len(KEYS)) for split in SPLITS} | {
    f"contamination.heldout.{name}": str(count)
    for name, count in (("problems", 8), ("trained_on", 8), ("overlapping", 8))
}


@pytest.fixture
def prefix(services: Services, tmp_path: Path) -> str:
    return f"s3://gift/verification/{tmp_path.name}"


@pytest.fixture
def claimed(prefix: str, tmp_path: Path) -> Claim:
    """Stores a report as the run's own: the run itself says so."""

    def claim(report: Report) -> Report:
        save_report(report, tmp_path / "own/report.json")
        upload_directory(tmp_path / "own", f"{prefix}/runs/{report.run_id}/{REPORT_FOLDER}", replace=True)
        return report

    return claim


@pytest.fixture
def store(prefix: str, claimed: Claim, config: RunConfig, folder: Path, evaluated, tmp_path: Path) -> Store:
    """Stores a run's evaluations, each changed by a function of results and answers, and its report, and returns it."""

    def put(name: str, source: Path, metadata: dict[str, str] | None = None) -> Artifact:
        made = upload_directory(source, f"{prefix}/{name}", replace=True, metadata=metadata)
        return Artifact(uri=f"{prefix}/{name}", digest=made.digest())

    def make(change: Callable | None = None, *, reigns: bool = False) -> Report:
        own = config.model_copy(update={"storage": config.storage.model_copy(update={"uri": prefix})})
        artifacts = {
            "prepare-data": put("data", folder / "data", COUNTS),
            "convert-candidate": put("model", folder / "model"),
        }
        for name, (results, answers) in evaluated.items():
            target = tmp_path / name
            target.mkdir(exist_ok=True)
            changed = change(name, dict(results), list(answers)) if change else (results, answers)
            save_results(target / RESULTS_FILE, changed[0])
            write_answers(target / ANSWERS_FILE, changed[1])
            artifacts[f"evaluate-{name}"] = put(f"evaluation-{name}", target)
        gated = {name: results for name, (results, _) in evaluated.items()}
        champion = evaluated["sft"][0] if reigns else None
        if reigns:
            artifacts["evaluate-champion"] = artifacts["evaluate-sft"]
        opponent = Opponent(model="m", version="1") if reigns else None
        verdict = decide(own.gate, gated["base"], gated["sft"], gated["candidate"], champion, opponent)
        (tmp_path / "verdict").mkdir(exist_ok=True)
        (tmp_path / "verdict" / VERDICT_FILE).write_text(verdict.model_dump_json())
        put("runs/a-run/verdict", tmp_path / "verdict")
        reported = gated | ({"champion": champion} if champion else {})
        shown, counts = changed_answers(*(by_problem(evaluated[name][1]) for name in ("sft", "candidate")))
        report = Report(
            run_id="a-run",
            profile="a profile",
            finished=datetime.now(UTC),
            models={name: {task: _score(r) for task, r in results.items()} for name, results in reported.items()},
            verdict=ReportedVerdict(
                promoted=verdict.decision == "promote",
                decision=verdict.decision,
                reasons=(verdict.sentence, *verdict.reasons),
                comparisons=tuple(
                    _comparison(said, other, difference)
                    for said in verdict.benchmarks
                    for other, difference in said.comparisons.items()
                ),
                champion=verdict.champion.version if verdict.champion else None,
            ),
            registry=RegisteredVersion(
                model=own.registered_model,
                version="1",
                alias="champion",
                source=_folder(artifacts["convert-candidate"]),
            ),
            seconds={"train-policy": 60.0},
            cost={"train-policy": StageCost(cpu_hours=1.0, gpu_hours=0.0)},
            curves={"train-policy": {"reward": ((0, 0.25), (1, 0.5))}},
            samples=_samples(reported),
            answer_changes=counts,
            answered_twice=shown,
            data={
                split: DataSet(
                    uri=f"{_folder(artifacts['prepare-data'])}/{split}.jsonl",
                    digest=sha256_of(folder / f"data/{split}.jsonl"),
                    rows=len(KEYS),
                )
                for split in SPLITS
            },
            contamination={"heldout": BenchmarkOverlap(problems=8, trained_on=8, overlapping=8)},
            artifacts=artifacts,
            provenance={"git_sha": "0" * 40},
            config=own.model_dump(mode="json"),
        )
        return claimed(report)

    return make


def _folder(artifact: Artifact) -> str:
    return complete_manifest(artifact.uri).folder(artifact.uri)


def _samples(reported: dict[str, dict[str, BenchmarkResult]]) -> tuple[Sample, ...]:
    """Every model is asked the same problems first."""
    beside = zip(*(results["heldout"].samples for results in reported.values()), strict=True)
    return tuple(
        Sample(
            question=one[0].question,
            final_answer=one[0].final_answer,
            completions={model: said.completion.strip() for model, said in zip(reported, one, strict=True)},
            correct={model: said.correct == 1.0 for model, said in zip(reported, one, strict=True)},
        )
        for one in beside
    )


def _score(result: BenchmarkResult) -> Score:
    return Score(
        accuracy=result.accuracy,
        stderr=result.stderr,
        n=result.n,
        metrics=result.secondary,
        settings=result.settings.model_dump(mode="json"),
    )


def _comparison(said: BenchmarkVerdict, other: str, found: PairedDifference) -> AccuracyDifference:
    return AccuracyDifference(
        name=f"candidate - {other}",
        benchmark=said.benchmark,
        difference=found.mean,
        stderr=found.stderr,
        n=found.n,
        confidence_low=found.low,
        confidence_high=found.high,
    )


def _texts(findings: Iterator[ReportFinding], kind: str) -> list[str]:
    return [finding.text for finding in findings if finding.kind == kind]


def test_an_honest_report_holds(store: Store) -> None:
    findings = list(verify_report(store()))
    assert {finding.kind for finding in findings} == {"holds"}
    texts = [finding.text for finding in findings]
    assert "candidate, heldout_sampled: 8 problems, 32 answers, judged again" in texts
    assert texts[-1] == "verdict: promote"
    outputs, sections = 2, ["report", "data", "registry", "samples"]
    assert len(texts) == outputs + len(sections) + 7 + 2 + 4 + 1


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
    assert re.search(found, _texts(iter(findings), "differs")[0])


def test_a_number_that_was_changed_in_the_report_is_named(store: Store, claimed: Claim) -> None:
    report = store()
    scores = report.models["candidate"] | {
        "heldout": report.models["candidate"]["heldout"].model_copy(update={"accuracy": 0.5})
    }
    raised = report.model_copy(update={"models": report.models | {"candidate": scores}})
    assert _texts(verify_report(claimed(raised)), "differs") == [
        "candidate, heldout: accuracy is 0.5 in the report, and 1 by the answers"
    ]
    comparison = report.verdict.comparisons[0].model_copy(update={"difference": 0.9})
    verdict = report.verdict.model_copy(update={"comparisons": (comparison, *report.verdict.comparisons[1:])})
    (text,) = _texts(verify_report(claimed(report.model_copy(update={"verdict": verdict}))), "differs")
    assert text.startswith("candidate - sft, heldout: +50.00 points")


Tampering = Callable[[Report], Report]


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
        (_having(answer_changes={}, answered_twice=()), r"changes on heldout: None in the report, and \{'better': 4"),
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
    differences = _texts(verify_report(claimed(tamper(store()))), "differs")
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
    (text,) = _texts(verify_report(tamper(store())), "differs")
    assert text.startswith(f"report: {found}")


@pytest.mark.parametrize(
    "tamper",
    [
        _having(run_id="another-run"),
        _in("config", storage={"uri": "s3://gift/verification/nowhere"}),
    ],
)
def test_a_report_whose_run_is_not_in_the_store_is_not_verified(store: Store, tamper: Tampering) -> None:
    own, verdict = _texts(verify_report(tamper(store())), "unknown")
    assert own.startswith("report: not held against the one that the run")
    assert verdict.startswith("verdict: not computed again: ")


def test_the_scores_of_a_champion_are_not_left_out(store: Store, claimed: Claim) -> None:
    report = store(reigns=True)
    models = {name: scores for name, scores in report.models.items() if name != "champion"}
    assert _texts(verify_report(claimed(report.model_copy(update={"models": models}))), "differs") == [
        f"champion, {benchmark}: the report has no such benchmark" for benchmark in ("heldout", "heldout_sampled")
    ]


def test_a_verdict_that_does_not_follow_is_named(store: Store, claimed: Claim) -> None:
    report = store()
    stricter = [{"benchmark": "heldout", "at_least": 0.9}]
    config = report.config | {"gate": report.config["gate"] | {"benchmarks": stricter}}
    assert _texts(verify_report(claimed(report.model_copy(update={"config": config}))), "differs") == [
        "verdict: keep by the answers, and the gate said promote"
    ]
    verdict = report.verdict.model_copy(update={"promoted": False, "decision": "keep"})
    assert _texts(verify_report(claimed(report.model_copy(update={"verdict": verdict}))), "differs") == [
        "verdict: the report says keep, and the gate promote"
    ]
    reasons = ("Promote: it looks good.", *report.verdict.reasons[1:])
    verdict = report.verdict.model_copy(update={"reasons": reasons})
    assert _texts(verify_report(claimed(report.model_copy(update={"verdict": verdict}))), "differs") == [
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
    assert [text.partition(":")[0] for text in _texts(iter(findings), "differs")] == [
        "champion",
        "candidate - champion, heldout",
        "candidate - champion, heldout_sampled",
    ]
    (text,) = _texts(iter(findings), "unknown")
    assert text.startswith("verdict: not computed again: the report names no output of evaluate-champion")


def test_the_scores_of_a_champion_are_computed_again_like_the_others(store: Store, claimed: Claim) -> None:
    report = store(reigns=True)
    texts = [finding.text for finding in verify_report(report)]
    assert "champion, heldout_sampled: 8 problems, 32 answers, judged again" in texts
    scores = report.models["champion"]["heldout"].model_copy(update={"accuracy": 0.25})
    lowered = report.models | {"champion": report.models["champion"] | {"heldout": scores}}
    assert _texts(verify_report(claimed(report.model_copy(update={"models": lowered}))), "differs") == [
        "champion, heldout: accuracy is 0.25 in the report, and 0.5 by the answers"
    ]


def test_answers_that_changed_are_those_of_the_store(store: Store, claimed: Claim) -> None:
    report = store()
    sft, candidate = (stored_evaluation(report, model).answers for model in ("sft", "candidate"))
    shown, counts = changed_answers(sft, candidate)
    told = report.model_copy(update={"answered_twice": shown, "answer_changes": counts})
    texts = _texts(verify_report(told), "holds")
    assert "changes on heldout: {'better': 4, 'worse': 0, 'same': 4}" in texts
    embellished = (shown[0].model_copy(update={"question": "How are you?"}), *shown[1:])
    fewer = counts | {"heldout_sampled": counts["heldout_sampled"] | {"worse": 7}}
    changed = told.model_copy(update={"answered_twice": embellished, "answer_changes": fewer})
    first, second = _texts(verify_report(claimed(changed)), "differs")
    assert first == "changes on heldout: the report shows other answers than were given"
    assert second.startswith("changes on heldout_sampled: {'better': ")


def test_other_data_and_a_lost_evaluation_are_named(store: Store, claimed: Claim) -> None:
    report = store()
    other = report.artifacts["prepare-data"].model_copy(update={"digest": "0" * 64})
    lost = report.artifacts["evaluate-sft"].model_copy(update={"uri": "s3://gift/verification/nowhere"})
    artifacts = report.artifacts | {"prepare-data": other, "evaluate-sft": lost}
    findings = list(verify_report(claimed(report.model_copy(update={"artifacts": artifacts}))))
    data, sft = _texts(iter(findings), "differs")
    assert data.endswith("/data has another content by now")
    assert sft.startswith("sft: s3://gift/verification/nowhere is not there or not complete")
    assert _texts(iter(findings), "unknown") == ["verdict: not computed again, as an evaluation is missing"]


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


def test_what_is_stored_is_read_back(store: Store, tmp_path: Path) -> None:
    store()
    assert load_results(tmp_path / "candidate" / RESULTS_FILE)["heldout"].accuracy == 1.0
    assert len(read_answers(tmp_path / "candidate" / ANSWERS_FILE)) == 40

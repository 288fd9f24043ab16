"""Every number of a report, and its verdict, again from the answers that were kept; needs no model.

    answers ──> scores of each problem ──> accuracy, error, pass@k, … ──> differences ──> the gate's rule
       └──> judged again                    compared with results.json, and with the report

Left out: whether the answers are the model's (`gift.verification.again` asks it), and scores that lm-eval's own tasks
gave, which are taken as they are.
"""

import functools
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from gift.config import RunConfig, asks_base_alone, parse_config, problem_set
from gift.errors import GiftError
from gift.evaluation.answers import Answer
from gift.evaluation.partial import completion_marks
from gift.evaluation.results import BenchmarkResult
from gift.evaluation.sampled import sampled_metrics
from gift.evaluation.scoring import Marking, marks_of
from gift.evaluation.statistics import mean_and_stderr
from gift.execution.output import content_digest
from gift.execution.stage import downloaded
from gift.gate.paired import paired_difference
from gift.gate.verdict import VERDICT_FILE, NotComparable, Verdict, decide
from gift.judge.judge import Judge, open_judge
from gift.report.answer_changes import changed_answers
from gift.report.files import load_document
from gift.report.schema import AnsweredTwice, ModelName, Report, Score
from gift.verification.finding import ReportFinding, differs, holds, unknown
from gift.verification.stored import StoredEvaluation, stored_evaluation

SAME = {"rel_tol": 1e-9, "abs_tol": 1e-12}
"""Of sums in another order."""
JUDGE_SECONDS = 5.0
MODELS: tuple[ModelName, ...] = ("base", "sft", "candidate")
OWN_ENDINGS = ("heldout", "_greedy", "_sampled", "_partial")
"""How the names of this project's tasks end that it judges itself."""
SHOWN = 3


def verify_report(report: Report) -> Iterator[ReportFinding]:
    """One finding after another, as they come.

    Raises:
        GiftError: S3 failed, or the report's configuration is of another version.
    """
    config = parse_config(dict(report.config), where="the report's configuration")
    yield from _data(report)
    evaluations: dict[ModelName, StoredEvaluation] = {}
    with open_judge(config.evaluation.threads, JUDGE_SECONDS) as judge:
        for model in (*MODELS, *(("champion",) if "champion" in report.models else ())):
            try:
                evaluations[model] = stored_evaluation(report, model)
            except GiftError as fault:
                yield differs(f"{model}: {fault}")
                continue
            yield from _evaluation(report, config, model, evaluations[model], judge)
    if evaluations.keys() >= set(MODELS):
        results: dict[str, Mapping[str, BenchmarkResult]] = {
            model: evaluation.results for model, evaluation in evaluations.items()
        }
        yield from _answer_changes(report, evaluations["sft"], evaluations["candidate"])
        yield from _comparisons(report, results)
        yield from _verdict(report, config, results)
    else:
        yield unknown("verdict: not computed again, as an evaluation is missing")


def _data(report: Report) -> Iterator[ReportFinding]:
    artifact = report.artifacts.get("prepare-data")
    if artifact is None:
        yield unknown("data: the report does not name them")
        return
    try:
        same = content_digest(artifact.uri) == artifact.digest
    except GiftError as fault:
        yield differs(f"data: {fault}")
        return
    yield holds(f"data: {artifact.uri}") if same else differs(f"data: {artifact.uri} has another content by now")


def _evaluation(
    report: Report, config: RunConfig, model: ModelName, evaluation: StoredEvaluation, judge: Judge
) -> Iterator[ReportFinding]:
    reported = report.models.get(model, {})
    for task in dict.fromkeys([*reported, *evaluation.results]):
        where = f"{model}, {task}"
        if task not in reported or task not in evaluation.results:
            lacking = "report" if task not in reported else "evaluation"
            yield differs(f"{where}: the {lacking} has no such benchmark")
            continue
        result, problems = evaluation.results[task], evaluation.answers.get(task, {})
        faults = [*_missing(result, problems)]
        if not faults:
            faults = [*_other_scores(result, problems), *_other_numbers(reported[task], result, problems)]
            own = problem_set(task) is not None and task.endswith(OWN_ENDINGS)
            if own:
                own_marks = functools.partial(marks_of, judge, config.evaluation.heldout_answers)
                marking = completion_marks if asks_base_alone(task) else own_marks
                faults += [*_other_questions(problems), *_other_verdicts(problems, marking)]
            judged = "judged again" if own else "as lm-eval scored them"
        if faults:
            yield differs(f"{where}: {_some(faults)}")
        else:
            answers = sum(map(len, problems.values()))
            yield holds(f"{where}: {len(problems):,} problems, {answers:,} answers, {judged}")


def _missing(result: BenchmarkResult, problems: Mapping[str, Sequence[Answer]]) -> Iterator[str]:
    """Problems and samples that are not there, or are too many."""
    yield from (f"problem {name} has no answers" for name in result.ids if name not in problems)
    yield from (f"problem {name} is not among the results" for name in problems if name not in result.ids)
    expected = list(range(result.settings.samples))
    for name, answers in problems.items():
        found = [answer.sample for answer in answers]
        if found != expected:
            yield f"problem {name} has the samples {found}, expected {len(expected)}"


def _other_scores(result: BenchmarkResult, problems: Mapping[str, Sequence[Answer]]) -> Iterator[str]:
    for name, score in zip(result.ids, result.correct, strict=True):
        found = fmean(answer.score for answer in problems[name])
        if not math.isclose(found, score, **SAME):
            yield f"problem {name} scores {score:g} in results.json, and its answers {found:g}"


def _other_numbers(reported: Score, result: BenchmarkResult, problems: Mapping[str, Sequence[Answer]]) -> Iterator[str]:
    accuracy, stderr = mean_and_stderr([fmean(answer.score for answer in problems[name]) for name in result.ids])
    expected = {"accuracy": accuracy, "stderr": stderr, "n": float(len(problems)), **sampled_metrics(problems)}
    told = {"accuracy": reported.accuracy, "stderr": reported.stderr, "n": float(reported.n), **reported.metrics}
    kept = {"accuracy": result.accuracy, "stderr": result.stderr, "n": float(result.n), **result.secondary}
    for name, value in expected.items():
        for place, numbers in (("the report", told), ("results.json", kept)):
            if not math.isclose(numbers.get(name, math.nan), value, **SAME):
                yield f"{name} is {numbers.get(name, math.nan):g} in {place}, and {value:g} by the answers"


def _other_questions(problems: Mapping[str, Sequence[Answer]]) -> Iterator[str]:
    """A problem's name ends in a digest of its prompt and its reference."""
    for name, answers in problems.items():
        for answer in answers:
            digests = "".join(hashlib.sha256(text.encode()).hexdigest() for text in (answer.prompt, answer.reference))
            if not name.endswith(f"@{hashlib.sha256(digests.encode()).hexdigest()[:12]}"):
                yield f"problem {name} was asked or judged by other texts than its name says"
                break


def _other_verdicts(problems: Mapping[str, Sequence[Answer]], marked: Marking) -> Iterator[str]:
    for name, answers in problems.items():
        marks = marked([one.completion for one in answers], answers[0].reference)
        for answer, mark in zip(answers, marks, strict=True):
            if float(mark.right is True) != answer.score:
                found = "right" if mark.right else "wrong" if mark.right is False else "not to be judged"
                yield f"sample {answer.sample} of problem {name} has the score {answer.score:g}, and is {found} today"
            elif mark.answer != answer.answer:
                yield f"sample {answer.sample} of problem {name} says {mark.answer!r} today, not {answer.answer!r}"


def _answer_changes(report: Report, sft: StoredEvaluation, candidate: StoredEvaluation) -> Iterator[ReportFinding]:
    """Nothing of a report that is older than them."""
    if report.answer_changes:
        shown, counts = changed_answers(sft.answers, candidate.answers)
        for benchmark in dict.fromkeys([*report.answer_changes, *counts]):
            told, found = report.answer_changes.get(benchmark), counts.get(benchmark)
            if told != found:
                yield differs(f"changes on {benchmark}: {told} in the report, and {found} by the answers")
            elif _of(benchmark, report.answered_twice) != _of(benchmark, shown):
                yield differs(f"changes on {benchmark}: the report shows other answers than were given")
            else:
                yield holds(f"changes on {benchmark}: {found}")


def _of(benchmark: str, pairs: Sequence[AnsweredTwice]) -> list[AnsweredTwice]:
    return [pair for pair in pairs if pair.benchmark == benchmark]


def _comparisons(report: Report, results: Mapping[str, Mapping[str, BenchmarkResult]]) -> Iterator[ReportFinding]:
    for comparison in report.verdict.comparisons:
        where, other = f"{comparison.name}, {comparison.benchmark}", comparison.name.removeprefix("candidate - ")
        try:
            others = _champion_results(report, results) if other == "champion" else results[other]
            found = paired_difference(
                _result(results["candidate"], comparison.benchmark), _result(others, comparison.benchmark)
            )
        except GiftError as fault:
            yield differs(f"{where}: {fault}")
            continue
        told = (comparison.difference, comparison.stderr, comparison.confidence_low, comparison.confidence_high)
        again = (found.mean, found.stderr, found.low, found.high)
        same = all(math.isclose(one, two, rel_tol=1e-6, abs_tol=1e-6) for one, two in zip(told, again, strict=True))
        shown = f"{100 * found.mean:+.2f} points ({100 * found.low:+.2f} to {100 * found.high:+.2f})"
        yield holds(f"{where}: {shown}") if same else differs(f"{where}: {shown} by the answers")


def _result(results: Mapping[str, BenchmarkResult], benchmark: str) -> BenchmarkResult:
    """Raises: GiftError: there is none."""
    if benchmark not in results:
        raise GiftError(f"there is no result of {benchmark}")
    return results[benchmark]


def _verdict(
    report: Report, config: RunConfig, results: Mapping[str, Mapping[str, BenchmarkResult]]
) -> Iterator[ReportFinding]:
    try:
        kept = _kept_verdict(report, config)
        champion = _champion(report, kept, results)
    except GiftError as fault:
        yield unknown(f"verdict: not computed again: {fault}")
        return
    try:
        base, sft, candidate = (results[model] for model in MODELS)
        again = decide(config.gate, base=base, sft=sft, candidate=candidate, champion=champion, opponent=kept.champion)
    except GiftError as fault:
        yield differs(f"verdict: {fault}")
        return
    if again.decision != kept.decision:
        yield differs(f"verdict: {again.decision} by the answers, and the gate said {kept.decision}")
    elif report.verdict.decision != again.decision or (report.verdict.promoted and again.decision != "promote"):
        said = "promoted" if report.verdict.promoted else report.verdict.decision
        yield differs(f"verdict: the report says {said}, and the gate {again.decision}")
    elif (again.sentence, *again.reasons) != report.verdict.reasons[: 1 + len(again.reasons)]:
        yield differs("verdict: the same decision, for other reasons than the report gives")
    else:
        yield holds(f"verdict: {again.decision}")


def _kept_verdict(report: Report, config: RunConfig) -> Verdict:
    with downloaded(f"{config.storage.uri}/runs/{report.run_id}/verdict") as folder:
        return load_document(Verdict, folder / VERDICT_FILE)


def _champion(
    report: Report, kept: Verdict, results: Mapping[str, Mapping[str, BenchmarkResult]]
) -> Mapping[str, BenchmarkResult] | NotComparable | None:
    """What the gate compared with.

    Raises:
        GiftError: the report does not name its evaluation, or the store does not have it any more.
    """
    if kept.champion is None:
        return None
    if kept.incomparable is not None:
        return NotComparable(kept.incomparable)
    return _champion_results(report, results)


def _champion_results(
    report: Report, results: Mapping[str, Mapping[str, BenchmarkResult]]
) -> Mapping[str, BenchmarkResult]:
    """A report may compare with a champion and leave its scores out.

    Raises:
        GiftError: the report does not name its evaluation, or the store does not have it any more.
    """
    return results["champion"] if "champion" in results else stored_evaluation(report, "champion").results


def _some(faults: Sequence[str]) -> str:
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return "; ".join(faults[:SHOWN]) + more

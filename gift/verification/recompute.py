"""Every number of a report, and its verdict, again from the answers that were kept; needs no model.

    answers ──> scores of each problem ──> accuracy, error, pass@k, … ──> differences ──> the gate's rule
       └──> judged again                    compared with results.json, and with the report

What follows from no answer is held against the manifests of the outputs, and what follows from nothing else, such as
times, curves and the registered version, against the report that the run itself stored (`gift.verification.outputs`).

Left out: whether the answers are the model's (`gift.verification.reproduce` asks it), and scores that lm-eval's own
tasks gave, which are taken as they are.
"""

import functools
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from gift.config import RunConfig, asks_base_alone, flatten, parse_config, problem_set
from gift.errors import GiftError
from gift.evaluation.answers import Answer
from gift.evaluation.partial import completion_marks
from gift.evaluation.results import BenchmarkResult
from gift.evaluation.sampled import sampled_metrics
from gift.evaluation.scoring import Marking, marks_of
from gift.evaluation.statistics import mean_and_stderr
from gift.judge.judge import Judge, open_judge
from gift.report.answer_changes import changed_answers
from gift.report.schema import AnsweredTwice, Change, ModelName, Report, Sample, Score
from gift.verification.decision import compared_again, decided_again
from gift.verification.finding import ReportFinding, differs, holds, unknown
from gift.verification.outputs import held_against_its_run, held_against_manifests
from gift.verification.sections import some_of, unequal
from gift.verification.stored import StoredEvaluation, stored_evaluation

SAME = {"rel_tol": 1e-9, "abs_tol": 1e-12}
"""Of sums in another order."""
JUDGE_SECONDS = 5.0
MODELS: tuple[ModelName, ...] = ("base", "sft", "candidate")
OWN_ENDINGS = ("heldout", "_greedy", "_sampled", "_partial")
"""How the names of this project's tasks end that it judges itself."""

Evaluations = Mapping[ModelName, StoredEvaluation]
"""Of base, SFT model and candidate at least."""


def verify_report(report: Report) -> Iterator[ReportFinding]:
    """One finding after another, as they come.

    Raises:
        GiftError: S3 failed, or the report's configuration is of another version.
    """
    config = parse_config(dict(report.config), where="the report's configuration")
    yield held_against_its_run(report, config)
    yield from held_against_manifests(report, config)
    evaluations: dict[ModelName, StoredEvaluation] = {}
    reigned = "champion" in report.models or "evaluate-champion" in report.artifacts
    models: tuple[ModelName, ...] = (*MODELS, "champion") if reigned else MODELS
    with open_judge(config.evaluation.threads, JUDGE_SECONDS) as judge:
        for model in models:
            try:
                evaluations[model] = stored_evaluation(report, model)
            except GiftError as fault:
                yield differs(f"{model}: {fault}")
                continue
            yield from _evaluation(report, config, model, evaluations[model], judge)
    if evaluations.keys() >= set(MODELS):
        results = {model: evaluation.results for model, evaluation in evaluations.items()}
        yield from _answer_changes(report, evaluations["sft"], evaluations["candidate"])
        if len(evaluations) == len(models):  # what is shown depends on all of them, and a lost one is named above
            yield _samples(report, evaluations)
        yield from compared_again(report, config, results)
        yield decided_again(report, config, results)
    else:
        yield unknown("verdict: not computed again, as an evaluation is missing")


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
            own = problem_set(task) is not None and task.endswith(OWN_ENDINGS)
            faults = [
                *_other_scores(result, problems),
                *_other_numbers(reported[task], result, problems, own=own),
                *_other_settings(reported[task], result),
            ]
            if own:
                own_marks = functools.partial(marks_of, judge, config.evaluation.heldout_answers)
                marking = completion_marks if asks_base_alone(task) else own_marks
                faults += [*_other_questions(problems), *_other_verdicts(problems, marking)]
            judged = "judged again" if own else "as lm-eval scored them"
        if faults:
            yield differs(f"{where}: {some_of(faults)}")
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


def _other_numbers(
    reported: Score, result: BenchmarkResult, problems: Mapping[str, Sequence[Answer]], *, own: bool
) -> Iterator[str]:
    """Args: `own` is whether this project judges the task itself."""
    accuracy, stderr = mean_and_stderr([fmean(answer.score for answer in problems[name]) for name in result.ids])
    everything = [answer for answers in problems.values() for answer in answers]
    found = {
        "accuracy": accuracy,
        "stderr": stderr,
        "n": len(problems),
        "mean_completion_characters": fmean(len(answer.completion) for answer in everything),
        **({"unjudged": fmean(not answer.judged for answer in everything)} if own else {}),
        **sampled_metrics(problems),
    }
    kept = {"accuracy": result.accuracy, "stderr": result.stderr, "n": result.n, **result.secondary}
    told = {"accuracy": reported.accuracy, "stderr": reported.stderr, "n": reported.n, **reported.metrics}
    for place, numbers in (("the report", told), ("results.json", kept)):
        again = {name: value for name, value in numbers.items() if name in found}
        yield from unequal(again, found, place, "by the answers")
    # What lm-eval made of its own tasks, and the judge said beside it.
    told_beside, kept_beside = (
        {name: value for name, value in numbers.items() if name not in found} for numbers in (told, kept)
    )
    yield from unequal(told_beside, kept_beside, "the report", "in results.json")


def _other_settings(reported: Score, result: BenchmarkResult) -> list[str]:
    told, kept = reported.settings, result.settings.model_dump(mode="json")
    return unequal(flatten(told, "settings"), flatten(kept, "settings"), "the report", "in results.json")


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
    shown, counts = changed_answers(sft.answers, candidate.answers)
    twice = [pair.benchmark for pair in report.answered_twice]
    for benchmark in dict.fromkeys([*report.answer_changes, *counts, *twice]):
        told, found = report.answer_changes.get(benchmark), counts.get(benchmark)
        if told != found:
            said, is_so = _in_words(told), _in_words(found)
            yield differs(f"changes on {benchmark}: {said} in the report, and {is_so} by the answers")
        elif _of(benchmark, report.answered_twice) != _of(benchmark, shown):
            yield differs(f"changes on {benchmark}: the report shows other answers than were given")
        else:
            yield holds(f"changes on {benchmark}: {_in_words(found)}")


def _in_words(counts: Mapping[Change, int] | None) -> str:
    return "none" if counts is None else ", ".join(f"{count:,} {change}" for change, count in counts.items())


def _of(benchmark: str, pairs: Sequence[AnsweredTwice]) -> list[AnsweredTwice]:
    return [pair for pair in pairs if pair.benchmark == benchmark]


def _samples(report: Report, evaluations: Evaluations) -> ReportFinding:
    told, found = (
        flatten([sample.model_dump(mode="json") for sample in samples])
        for samples in (report.samples, _shown_samples(evaluations))
    )
    faults = unequal(told, found, "the report", "by the answers")
    return differs(f"samples: {some_of(faults)}") if faults else holds(f"samples: {len(report.samples)} problems")


def _shown_samples(evaluations: Evaluations) -> Iterator[Sample]:
    """The problems of the candidate's first benchmark that every model's results show."""
    own = evaluations["candidate"].results
    task = next(iter(own), "")
    answers = {model: one.answers.get(task, {}) for model, one in evaluations.items()}
    shown = [
        {sample.id for sample in one.results[task].samples} & answers[model].keys() if task in one.results else set()
        for model, one in evaluations.items()
    ]
    for sample in own[task].samples if own else ():
        if all(sample.id in ids for ids in shown):
            given = {model: problems[sample.id] for model, problems in answers.items()}
            yield Sample(
                question=given["candidate"][0].question,
                final_answer=given["candidate"][0].reference,
                completions={model: several[0].completion.strip() for model, several in given.items()},
                correct={model: all(one.score == 1.0 for one in several) for model, several in given.items()},
            )

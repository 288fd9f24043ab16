"""What lm-eval logged of a benchmark, as one result and all answers: each problem's score, and what stands beside it.

    samples of the task's own filter ──> answers, scores, their mean and its standard error
    the others                       ──> secondary scores, the judge's beside lm-eval's, sampled metrics

`gift.evaluation.logged_answers` reads single samples. Left out: running lm-eval (`gift.evaluation.harness`).
"""

import importlib.metadata
import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from gift.config import AnswerFormat, EvaluationConfig, PromptFormat
from gift.evaluation.answers import Answer, by_problem
from gift.evaluation.lm_eval_tasks import LoadedTask
from gift.evaluation.logged_answers import Sample, answers_of, sample_score
from gift.evaluation.results import AnsweredProblem, BenchmarkResult, EvaluationSettings
from gift.evaluation.sampled import sampled_metrics
from gift.evaluation.statistics import mean_and_stderr
from gift.judge.judge import Judge

_SHOWN_SAMPLES = 6
_ANY_FORMAT: tuple[AnswerFormat, ...] = ("boxed", "answer", "gsm8k")


def summarize(
    loaded: LoadedTask,
    output: Mapping[str, Any],
    completed: Mapping[tuple[str, int], list[Any]],
    prompt: PromptFormat,
    judge: Judge,
    config: EvaluationConfig,
    seed: int,
) -> tuple[BenchmarkResult, list[Answer]]:
    """The result of one benchmark, and every answer.

    Args:
        output: of `lm_eval.evaluate`, with samples.
        completed: what the language model answered to each prompt, in order.
        prompt: how the model was asked.
    """
    benchmark, parts = loaded.benchmark, loaded.parts
    samples: list[Sample] = [one | {"part": part} for part in parts for one in output["samples"][part]]
    primary = [sample for sample in samples if sample["filter"] == loaded.filter]
    answers = answers_of(loaded, primary, completed)
    problems = by_problem(answers)[benchmark.task]
    correct = [sample_score(loaded, sample) for sample in primary]
    accuracy, stderr = mean_and_stderr(correct)
    secondary = (
        _named_metrics(loaded, output["results"], primary)
        if loaded.is_named
        else _secondary_metrics(loaded, samples) | _judged_beside(loaded, judge, answers, correct)
    )
    result = BenchmarkResult(
        task=benchmark.task,
        accuracy=accuracy,
        stderr=stderr,
        n=len(correct),
        ids=tuple(problems),
        correct=tuple(correct),
        secondary=secondary
        | {"mean_completion_characters": fmean(len(answer.completion) for answer in answers)}
        | sampled_metrics(problems),
        settings=EvaluationSettings(
            lm_eval_version=importlib.metadata.version("lm_eval"),
            task_version=", ".join(dict.fromkeys(str(output["versions"][part]) for part in parts)),
            fewshot_count=max(output["n-shot"][part] for part in parts),
            asked_in="the model's chat template" if prompt.chat else "plain text",
            engine=config.engine,
            samples=benchmark.samples,
            decoding=next(iter(parts.values())).config.generation_kwargs or {},
            precision=config.precision,
            batch_size=config.batch_size,
            limit=benchmark.limit,
            seed=seed,
        ),
        samples=tuple(map(_shown, _first_answers(answers)[:_SHOWN_SAMPLES], correct)),
    )
    return result, answers


def _first_answers(answers: Sequence[Answer]) -> list[Answer]:
    """One per problem."""
    return [answer for answer in answers if answer.sample == 0]


def _shown(answer: Answer, score: float) -> AnsweredProblem:
    return AnsweredProblem(
        id=answer.problem,
        question=answer.question,
        final_answer=answer.reference,
        completion=answer.completion,
        correct=score,
    )


def _secondary_metrics(loaded: LoadedTask, samples: Sequence[Sample]) -> dict[str, float]:
    """The task's other scores with their standard errors."""
    metrics: dict[str, float] = {}
    for key, (metric, name) in loaded.secondary.items():
        mean, stderr = mean_and_stderr([float(sample[metric]) for sample in samples if sample["filter"] == name])
        metrics |= {f"{key}_accuracy": mean, f"{key}_stderr": stderr}
    return metrics


def _named_metrics(
    loaded: LoadedTask, results: Mapping[str, Mapping[str, Any]], samples: Sequence[Sample]
) -> dict[str, float]:
    """Of a group the score of each of its tasks; of a task all that lm-eval makes of it, such as BBQ's bias scores."""
    if len(loaded.parts) > 1:
        scores: dict[str, list[float]] = {}
        for sample in samples:
            scores.setdefault(f"{sample['part']}_accuracy", []).append(sample_score(loaded, sample))
        return {name: fmean(values) for name, values in scores.items()}
    (found,) = (results[part] for part in loaded.parts)
    numbers = {name: value for name, value in found.items() if "," in name and isinstance(value, int | float)}
    return {
        name.removesuffix(f",{loaded.filter}"): float(value)
        for name, value in numbers.items()
        if math.isfinite(value) and name != f"{loaded.metric},{loaded.filter}"
    }


def _judged_beside(
    loaded: LoadedTask, judge: Judge, answers: Sequence[Answer], correct: Sequence[float]
) -> dict[str, float]:
    """For a task that lm-eval scores: what the judge of the rewards says of the same first completions.

    `judge_disagreement` is the share of the problems that one of both counts as right and the other as wrong. For our
    own tasks, which the judge has scored: the share of the completions that it could not judge.
    """
    if loaded.asks_as_in_training:
        return {"unjudged": fmean(not answer.judged for answer in answers)}
    first = [(answer.completion, answer.reference) for answer in _first_answers(answers)]
    verdicts = judge.verdicts(first, _ANY_FORMAT)
    mean, stderr = mean_and_stderr([float(verdict is True) for verdict in verdicts])
    differs = fmean(float((verdict is True) != (score == 1)) for verdict, score in zip(verdicts, correct, strict=True))
    return {"judge_accuracy": mean, "judge_stderr": stderr, "judge_disagreement": differs}

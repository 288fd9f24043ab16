"""Runs lm-eval on a model folder: offline, quiet, and with every answer kept.

    problems + task YAML → lm-eval tasks → prompts (refused if too long) → our LanguageModel → results, answers

`gift.evaluation.lm_eval_tasks` knows the tasks, `gift.evaluation.language_model` asks a model, which one of
`gift.evaluation.decoders` runs. `lm_eval.evaluate` is
called rather than `simple_evaluate`, which adds only a survey of the machine and a look at the hub, and has one limit
for all tasks.

Left out: lm-eval's bootstrap (`gift.evaluation.statistics` has the closed forms).
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import itertools
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, TextIO

import lm_eval
import torch

from gift.config import PARTIAL, AnswerFormat, BenchmarkConfig, EvaluationConfig, PromptFormat
from gift.data.prompts import asked_text
from gift.errors import GiftError
from gift.evaluation.answers import Answer, by_problem
from gift.evaluation.decoders import open_decoder
from gift.evaluation.language_model import CompletedPrompt, LanguageModel
from gift.evaluation.lm_eval_tasks import TASKS, LmEvalTask, asks_as_in_training, load_task
from gift.evaluation.partial import BARE_PROMPT, completion_marks
from gift.evaluation.quiet import quiet_libraries
from gift.evaluation.results import AnsweredProblem, BenchmarkResult, EvaluationSettings
from gift.evaluation.sampled import sampled_metrics
from gift.evaluation.scoring import Mark, Marking, marks_of, share_of_right_answers
from gift.evaluation.statistics import mean_and_stderr
from gift.judge.judge import Judge, open_judge
from gift.models.ends import load_tokenizer_and_ends

Progress = Callable[[str, int, int], None]
"""(task, finished completions, all completions); called as the work proceeds."""

# lm-eval's own default: with it, the five examples before each gsm8k problem are the ones that everybody else has.
_FEWSHOT_SEED = 1234
_SHOWN_SAMPLES = 6
_NOTHING_FOUND = "[invalid]"
"""What lm-eval's filters make of a completion without an answer."""
_JUDGE_SECONDS = 5.0
_ANY_FORMAT: tuple[AnswerFormat, ...] = ("boxed", "answer", "gsm8k")


@dataclass(frozen=True)
class LoadedTask:
    """A benchmark, ready to be asked."""

    benchmark: BenchmarkConfig
    task: Any
    """lm-eval's."""
    marks: dict[str, list[Mark]]
    """Filled while lm-eval scores a task of this project."""


def evaluate_model(
    model: Path,
    benchmarks: Path,
    config: EvaluationConfig,
    prompt: PromptFormat,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> tuple[dict[str, BenchmarkResult], list[Answer]]:
    """Evaluate the Hugging Face folder `model` on each of `config.benchmarks`: the results by task, and all answers.

    Args:
        benchmarks: a folder that `gift.data.sources.write_data` has filled.
        prompt: the run's, for this project's tasks. lm-eval's own tasks have their own, which a chat asks in the
            model's chat template.
        seed: draws the samples; each benchmark starts from it, whatever was run before.
        device: where the model runs.

    Raises:
        GiftError: a benchmark file is missing, empty or malformed; a prompt and its answer exceed the context; or vLLM
            can't be started.
    """
    torch.set_num_threads(config.threads)
    audible_progress = _audible(progress, sys.stderr)
    with (
        tempfile.TemporaryDirectory(prefix="gift-evaluation-") as scratch,
        quiet_libraries(),
        open_judge(config.threads, _JUDGE_SECONDS) as judge,
    ):
        tokenizer, ends = load_tokenizer_and_ends(model, prompt)
        language_model = LanguageModel(model, tokenizer, ends, prompt)
        tasks = [
            _load_task(
                one,
                benchmarks,
                functools.partial(asked_text, tokenizer, prompt=_prompt_of(one, prompt)),
                _marking(one, config, judge),
                Path(scratch),
            )
            for one in config.benchmarks
        ]
        # All prompts are checked before the first completion: the last benchmark must not fail after an hour.
        longest = max(_longest(language_model, loaded, prompt) for loaded in tasks)
        with open_decoder(model, config, tokenizer, ends, device, longest) as language_model.decoder:
            runs = [_run(language_model, one, config, prompt, seed, judge, audible_progress) for one in tasks]
    results = {result.task: result for result, _ in runs}
    return results, [answer for _, answers in runs for answer in answers]


def _load_task(
    benchmark: BenchmarkConfig,
    benchmarks: Path,
    asked: Callable[[str], str],
    marked: Marking,
    scratch: Path,
) -> LoadedTask:
    marks: dict[str, list[Mark]] = {}
    score = share_of_right_answers(marked, marks)
    return LoadedTask(benchmark, load_task(benchmark, benchmarks, asked, score, scratch), marks)


def _prompt_of(benchmark: BenchmarkConfig, prompt: PromptFormat) -> PromptFormat:
    return BARE_PROMPT if benchmark.task.endswith(PARTIAL) else prompt


def _marking(benchmark: BenchmarkConfig, config: EvaluationConfig, judge: Judge) -> Marking:
    if benchmark.task.endswith(PARTIAL):
        return completion_marks
    return functools.partial(marks_of, judge, config.heldout_answers)


def _turn_to(language_model: LanguageModel, benchmark: BenchmarkConfig, prompt: PromptFormat) -> None:
    """From now on the model is asked as this benchmark asks."""
    language_model.prompt = _prompt_of(benchmark, prompt)
    language_model.asked_as_in_training = asks_as_in_training(benchmark)


def _longest(language_model: LanguageModel, loaded: LoadedTask, prompt: PromptFormat) -> int:
    """Tokens of the longest prompt with room for its answer. Nothing is cut: one that does not fit is refused."""
    benchmark, task = loaded.benchmark, loaded.task
    _turn_to(language_model, benchmark, prompt)
    room = language_model.context_length - benchmark.max_new_tokens
    task.set_fewshot_seed(_FEWSHOT_SEED)
    task.build_all_requests(limit=benchmark.limit, **_chat_arguments(language_model, benchmark, prompt))
    contexts = language_model.token_ids([request.args[0] for request in task.instances])
    for request, ids in zip(task.instances, contexts, strict=True):
        if len(ids) > room:
            raise GiftError(
                f"benchmark {benchmark.task}: the prompt of problem {_name(request.doc, request.doc_id)} has "
                f"{len(ids)} tokens, and only {max(room, 0)} fit (context {language_model.context_length} minus "
                f"max_new_tokens {benchmark.max_new_tokens}); lower max_new_tokens, or use a model with a longer "
                "context"
            )
    return max(map(len, contexts)) + benchmark.max_new_tokens


def _chat_arguments(language_model: LanguageModel, benchmark: BenchmarkConfig, prompt: PromptFormat) -> dict[str, Any]:
    """How lm-eval asks a task of its own in a chat; what is asked as in training is a chat already."""
    if not prompt.chat or asks_as_in_training(benchmark):
        return {}
    return {
        "system_instruction": prompt.system,
        "apply_chat_template": True,
        "chat_template": language_model.apply_chat_template,
        "tokenizer_name": language_model.tokenizer_name,
    }


def _run(
    language_model: LanguageModel,
    loaded: LoadedTask,
    config: EvaluationConfig,
    prompt: PromptFormat,
    seed: int,
    judge: Judge,
    progress: Progress,
) -> tuple[BenchmarkResult, list[Answer]]:
    benchmark, task = loaded.benchmark, loaded.task
    problems = len(task.eval_docs)
    total = min(benchmark.limit or problems, problems) * benchmark.samples
    finished = itertools.count(1)
    _turn_to(language_model, benchmark, prompt)
    language_model.on_completion = lambda: progress(benchmark.task, next(finished), total)
    language_model.seed = seed
    language_model.completed.clear()
    progress(benchmark.task, 0, total)
    # lm-eval builds the prompts again; without this its few-shot generator would go on from where the check left it.
    task.set_fewshot_seed(_FEWSHOT_SEED)
    source, chat = TASKS[benchmark.task], _chat_arguments(language_model, benchmark, prompt)
    output = lm_eval.evaluate(
        language_model,
        {"tasks": {source.name: task}},
        limit=benchmark.limit,
        bootstrap_iters=0,
        log_samples=True,
        system_instruction=chat.get("system_instruction"),
        apply_chat_template=bool(chat),
    )
    samples = output["samples"][source.name]
    primary = [sample for sample in samples if sample["filter"] == source.filter]
    answers = _answers(language_model, loaded, primary, source)
    correct = [float(sample[source.metric]) for sample in primary]
    accuracy, stderr = mean_and_stderr(correct)
    secondary = _secondary_metrics(samples, source) | _judged_beside(judge, primary, correct, source)
    result = BenchmarkResult(
        task=benchmark.task,
        accuracy=accuracy,
        stderr=stderr,
        n=len(correct),
        ids=tuple(_identity(sample) for sample in primary),
        correct=tuple(correct),
        secondary=secondary | sampled_metrics(by_problem(answers)[benchmark.task]),
        settings=EvaluationSettings(
            lm_eval_version=importlib.metadata.version("lm_eval"),
            task_version=str(output["versions"][source.name]),
            fewshot_count=output["n-shot"][source.name],
            asked_in="the model's chat template" if language_model.prompt.chat else "plain text",
            engine=config.engine,
            samples=benchmark.samples,
            decoding=task.config.generation_kwargs,
            precision=config.precision,
            batch_size=config.batch_size,
            limit=benchmark.limit,
            seed=seed,
        ),
        samples=tuple(
            _answered(sample, score) for sample, score in zip(primary[:_SHOWN_SAMPLES], correct, strict=False)
        ),
    )
    return result, answers


def _answers(
    language_model: LanguageModel, loaded: LoadedTask, samples: list[dict[str, Any]], source: LmEvalTask
) -> list[Answer]:
    """Every completion of the task, problem by problem; for lm-eval's own tasks with what it found in it."""
    completed: dict[int, list[CompletedPrompt]] = {}
    for number, one in language_model.completed:
        completed.setdefault(number, []).append(one)
    return [
        Answer(
            benchmark=loaded.benchmark.task,
            problem=_identity(sample),
            sample=place,
            question=sample["doc"]["question"],
            reference=sample["doc"]["final_answer"],
            prompt=sample["arguments"][0][0],
            completion=one.text,
            answer=mark.answer,
            score=float(mark.right is True),
            judged=mark.right is not None,
            tokens=one.tokens,
            truncated=one.truncated,
        )
        for sample in samples
        for place, (one, mark) in enumerate(
            zip(completed[sample["doc_id"]], _marks(loaded, sample, source), strict=True)
        )
    ]


def _marks(loaded: LoadedTask, sample: dict[str, Any], source: LmEvalTask) -> list[Mark]:
    if asks_as_in_training(loaded.benchmark):
        return loaded.marks[sample["doc"]["id"]]
    found = sample["filtered_resps"][0]
    answer = found if isinstance(found, str) else found[0]
    return [Mark(None if answer == _NOTHING_FOUND else answer, bool(sample[source.metric]))]


def _answered(sample: dict[str, Any], score: float) -> AnsweredProblem:
    return AnsweredProblem(
        id=_identity(sample),
        question=sample["doc"]["question"],
        final_answer=sample["doc"]["final_answer"],
        completion=sample["resps"][0][0],
        correct=score,
    )


def _secondary_metrics(samples: list[dict[str, Any]], source: LmEvalTask) -> dict[str, float]:
    """The task's other scores with their standard errors, and the mean length of the completions."""
    metrics: dict[str, float] = {}
    for key, (metric, name) in source.secondary.items():
        mean, stderr = mean_and_stderr([float(sample[metric]) for sample in samples if sample["filter"] == name])
        metrics |= {f"{key}_accuracy": mean, f"{key}_stderr": stderr}
    # In characters: lm-eval keeps no token ids, and encoding the text again may give other tokens.
    metrics["mean_completion_characters"] = fmean(len(text) for s in samples for texts in s["resps"] for text in texts)
    return metrics


def _judged_beside(
    judge: Judge, samples: list[dict[str, Any]], correct: list[float], source: LmEvalTask
) -> dict[str, float]:
    """For a task that lm-eval scores: what the judge of the rewards says of the same first completions.

    `judge_disagreement` is the share of the problems that one of both counts as right and the other as wrong. For our
    own tasks, which the judge has scored: the share of the completions that it could not judge.
    """
    if source.package == "gift.evaluation":
        return {"unjudged": fmean(sample["unjudged"] for sample in samples)}
    verdicts = judge.verdicts(
        [(sample["resps"][0][0], sample["doc"]["final_answer"]) for sample in samples], _ANY_FORMAT
    )
    mean, stderr = mean_and_stderr([float(verdict is True) for verdict in verdicts])
    differs = fmean(float((verdict is True) != (score == 1)) for verdict, score in zip(verdicts, correct, strict=True))
    return {"judge_accuracy": mean, "judge_stderr": stderr, "judge_disagreement": differs}


def _identity(sample: dict[str, Any]) -> str:
    """The problem's name and a digest of its prompt and answer, so that equal ids mean the same question."""
    content = hashlib.sha256((sample["prompt_hash"] + sample["target_hash"]).encode()).hexdigest()
    return f"{_name(sample['doc'], sample['doc_id'])}@{content[:12]}"


def _name(problem: dict[str, Any], position: int) -> str:
    return str(problem.get("id", position))


def _audible(progress: Progress, stderr: TextIO) -> Progress:
    """The same callback, whose own output to stderr is seen while the libraries' is not."""

    def report(task: str, finished: int, total: int) -> None:
        with contextlib.redirect_stderr(stderr):
            progress(task, finished, total)

    return report

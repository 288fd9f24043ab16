"""Runs lm-eval on a model folder: offline, quiet, and with every answer kept.

    problems + task YAML → lm-eval tasks → prompts (refused if too long) → our LanguageModel → results, answers

`gift.evaluation.lm_eval_tasks` knows this project's tasks and `gift.evaluation.named_tasks` loads any other,
`gift.evaluation.language_model` asks a model, which one of `gift.evaluation.decoders` runs, and
`gift.evaluation.summary` makes results of lm-eval's log. `lm_eval.evaluate` is called rather than `simple_evaluate`,
which adds only a survey of the machine and a look at the hub, and has one limit for all tasks.

Left out: lm-eval's bootstrap (`gift.evaluation.statistics` has the closed form).
"""

import contextlib
import functools
import itertools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import lm_eval
import torch

from gift.config import (
    AnyBenchmark,
    EvaluationConfig,
    LmEvalBenchmark,
    PromptFormat,
    asks_base_alone,
)
from gift.data.prompts import asked_text
from gift.errors import GiftError
from gift.evaluation.answers import Answer
from gift.evaluation.decoders import open_decoder
from gift.evaluation.language_model import LanguageModel
from gift.evaluation.lm_eval_tasks import LoadedTask, load_task
from gift.evaluation.logged_answers import problem_name
from gift.evaluation.named_tasks import load_named_task, told_of_rows
from gift.evaluation.partial import BARE_PROMPT, completion_marks
from gift.evaluation.quiet import quiet_libraries
from gift.evaluation.results import BenchmarkResult
from gift.evaluation.scoring import Marking, marks_of, share_of_right_answers
from gift.evaluation.summary import summarize
from gift.judge.judge import Judge, open_judge
from gift.models.ends import load_tokenizer_and_ends

Progress = Callable[[str, int, int], None]
"""(task, finished requests, all requests); called as the work proceeds."""

# lm-eval's own default: with it, the five examples before each gsm8k problem are the ones that everybody else has.
_FEWSHOT_SEED = 1234
_JUDGE_SECONDS = 5.0


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
        benchmarks: a folder that `gift.data.prepare.write_data` has filled.
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
    benchmark: AnyBenchmark,
    benchmarks: Path,
    asked: Callable[[str], str],
    marked: Marking,
    scratch: Path,
) -> LoadedTask:
    if isinstance(benchmark, LmEvalBenchmark):
        return load_named_task(benchmark, benchmarks)
    return load_task(benchmark, benchmarks, asked, functools.partial(share_of_right_answers, marked), scratch)


def _prompt_of(benchmark: AnyBenchmark, prompt: PromptFormat) -> PromptFormat:
    return BARE_PROMPT if asks_base_alone(benchmark.task) else prompt


def _marking(benchmark: AnyBenchmark, config: EvaluationConfig, judge: Judge) -> Marking:
    if asks_base_alone(benchmark.task):
        return completion_marks
    return functools.partial(marks_of, judge, config.heldout_answers)


def _turn_to(language_model: LanguageModel, loaded: LoadedTask, prompt: PromptFormat) -> None:
    """From now on the model is asked as this benchmark asks."""
    language_model.prompt = _prompt_of(loaded.benchmark, prompt)
    language_model.asked_as_in_training = loaded.asks_as_in_training


def _longest(language_model: LanguageModel, loaded: LoadedTask, prompt: PromptFormat) -> int:
    """Tokens of the longest prompt with room for its answer. Nothing is cut: one that does not fit is refused."""
    _turn_to(language_model, loaded, prompt)
    for task in loaded.parts.values():
        task.set_fewshot_seed(_FEWSHOT_SEED)
        with told_of_rows(loaded.benchmark):
            task.build_all_requests(limit=loaded.benchmark.limit, **_chat_arguments(language_model, loaded, prompt))
    return max(_longest_of_part(language_model, loaded, name, task) for name, task in loaded.parts.items())


def _longest_of_part(language_model: LanguageModel, loaded: LoadedTask, part: str, task: Any) -> int:
    generates = task.OUTPUT_TYPE == "generate_until"
    reserved = loaded.benchmark.max_new_tokens if generates else 1
    room = language_model.context_length - reserved
    if generates:
        lengths = list(map(len, language_model.token_ids([request.args[0] for request in task.instances])))
    else:
        lengths = [len(pair.context) + len(pair.continuation) for pair in language_model.token_pairs(task.instances)]
    for request, length in zip(task.instances, lengths, strict=True):
        if length > room:
            what, minus, way_out = (
                ("prompt", f"max_new_tokens {reserved}", "lower max_new_tokens, or ")
                if generates
                else ("prompt and an answer", "1", "")
            )
            raise GiftError(
                f"benchmark {loaded.benchmark.task}: the {what} of problem "
                f"{problem_name(loaded, part, request.doc, request.doc_id)} has "
                f"{length} tokens, and only {max(room, 0)} fit (context {language_model.context_length} minus "
                f"{minus}); {way_out}use a model with a longer context"
            )
    return max(lengths) + reserved


def _chat_arguments(language_model: LanguageModel, loaded: LoadedTask, prompt: PromptFormat) -> dict[str, Any]:
    """How lm-eval asks a task of its own in a chat; what is asked as in training is a chat already."""
    if not prompt.chat or loaded.asks_as_in_training:
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
    benchmark, parts = loaded.benchmark, loaded.parts
    total = sum(len(task.instances) * task.config.repeats for task in parts.values())
    finished = itertools.count(1)
    _turn_to(language_model, loaded, prompt)
    language_model.on_completion = lambda: progress(benchmark.task, next(finished), total)
    language_model.seed = seed
    language_model.completed.clear()
    progress(benchmark.task, 0, total)
    # lm-eval builds the prompts again; without this its few-shot generator would go on from where the check left it.
    for task in parts.values():
        task.set_fewshot_seed(_FEWSHOT_SEED)
    chat = _chat_arguments(language_model, loaded, prompt)
    output = lm_eval.evaluate(
        language_model,
        {"tasks": parts},
        limit=benchmark.limit,
        bootstrap_iters=0,
        log_samples=True,
        system_instruction=chat.get("system_instruction"),
        apply_chat_template=bool(chat),
    )
    return summarize(loaded, output, _completed(language_model), language_model.prompt, judge, config, seed)


def _completed(language_model: LanguageModel) -> dict[tuple[str, int], list[Any]]:
    found: dict[tuple[str, int], list[Any]] = {}
    for key, one in language_model.completed:
        found.setdefault(key, []).append(one)
    return found


def _audible(progress: Progress, stderr: TextIO) -> Progress:
    """The same callback, whose own output to stderr is seen while the libraries' is not."""

    def report(task: str, finished: int, total: int) -> None:
        with contextlib.redirect_stderr(stderr):
            progress(task, finished, total)

    return report

"""Runs lm-eval on a model folder: offline, quiet, and with every problem's score kept.

    benchmark files + task YAML → lm-eval tasks → prompts (refused if too long) → lm-eval's HFLM → BenchmarkResult

`heldout` and `heldout_sampled` are the task files beside this module; `gsm8k` is lm-eval's own file with nothing but
the place of its data replaced. `lm_eval.evaluate` is called rather than `simple_evaluate`, which adds only a survey of
the machine and a look at the hub, and has one limit for all tasks.

Left out: chat templates, several GPUs, and lm-eval's bootstrap (`gift.evaluation.statistics` has the closed forms).
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.resources
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, TextIO

import lm_eval
import torch
import transformers
import yaml
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from gift.config import BenchmarkConfig, EvaluationConfig
from gift.data.problems import read_problems
from gift.errors import GiftError
from gift.evaluation.quiet import quiet_libraries
from gift.evaluation.results import AnsweredProblem, BenchmarkResult, EvaluationSettings
from gift.evaluation.statistics import mean_and_stderr
from gift.models import load_model, load_tokenizer, torch_dtype

Progress = Callable[[str, int, int], None]
"""(task, finished completions, all completions); called as the work proceeds."""

# lm-eval's own default: with it, the five examples before each gsm8k problem are the ones that everybody else has.
_FEWSHOT_SEED = 1234
_PRIMARY_FILTER = "strict-match"
_SHOWN_SAMPLES = 6


def evaluate_model(
    model: Path, benchmarks: Path, config: EvaluationConfig, seed: int, progress: Progress
) -> dict[str, BenchmarkResult]:
    """Evaluate the Hugging Face folder `model` on each of `config.benchmarks`; the keys are the tasks' names.

    `benchmarks` holds `heldout.jsonl` and, for the task gsm8k, `gsm8k/train.jsonl` and `gsm8k/test.jsonl`. The seed
    draws the samples of `heldout_sampled`; each benchmark starts from it, whatever was run before.

    Raises:
        GiftError: a benchmark file is missing, empty or malformed; or a prompt and its answer exceed the context.
    """
    torch.set_num_threads(config.threads)
    audible_progress = _audible(progress, sys.stderr)
    with tempfile.TemporaryDirectory(prefix="gift-evaluation-") as scratch, quiet_libraries():
        language_model = _language_model(model, config)
        tasks = [
            (benchmark, _load_task(benchmark, _data_files(benchmark, benchmarks), Path(scratch)))
            for benchmark in config.benchmarks
        ]
        # All prompts are checked before the first completion: the last benchmark must not fail after an hour.
        for benchmark, task in tasks:
            _refuse_long_prompts(language_model, task, benchmark)
        return {
            benchmark.task: _run(language_model, task, benchmark, config, seed, audible_progress)
            for benchmark, task in tasks
        }


def _language_model(folder: Path, config: EvaluationConfig) -> HFLM:
    dtype = torch_dtype(config.precision)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_model(folder, dtype, dtype, device).to(device)
    tokenizer = load_tokenizer(folder)
    ends = model.generation_config.eos_token_id
    # A model's own sampling habits (repetition penalty, min_p, max_new_tokens) would silently change the benchmark.
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=tokenizer.eos_token_id if ends is None else ends, pad_token_id=tokenizer.pad_token_id
    )
    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=config.batch_size)


def _data_files(benchmark: BenchmarkConfig, folder: Path) -> dict[str, str]:
    if benchmark.task == "gsm8k":
        files = {"train": folder / "gsm8k" / "train.jsonl", "test": folder / "gsm8k" / "test.jsonl"}
    else:
        files = {"test": folder / "heldout.jsonl"}
    for path in files.values():
        read_problems(path)  # lm-eval would stop at a bad row with a message about Arrow
    return {split: str(path.resolve()) for split, path in files.items()}


def _load_task(benchmark: BenchmarkConfig, data_files: dict[str, str], scratch: Path) -> Any:
    """An lm-eval task: a static YAML file, and a small one that includes it and adds what depends on the run."""
    if benchmark.task == "gsm8k":
        static = importlib.resources.files("lm_eval") / "tasks" / "gsm8k" / "gsm8k.yaml"
    else:
        static = importlib.resources.files("gift.evaluation") / "tasks" / f"{benchmark.task}.yaml"
    generated = scratch / f"{benchmark.task}.yaml"
    overrides = {
        "include": str(static),
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": data_files, "cache_dir": str(scratch)},
        "repeats": benchmark.samples,
    }
    generated.write_text(yaml.safe_dump(overrides), encoding="utf-8")
    # include_defaults would parse lm-eval's thousands of task files, which takes ten seconds.
    task = TaskManager(include_defaults=False).load([str(generated)])["tasks"][benchmark.task]
    # An explicit length: lm-eval's default of 256 tokens cuts longer reasoning off.
    task.set_config("generation_kwargs", {"max_gen_toks": benchmark.max_new_tokens}, update=True)
    return task


def _refuse_long_prompts(language_model: HFLM, task: Any, benchmark: BenchmarkConfig) -> None:
    """HFLM would cut the beginning of the prompt off, with no more than a warning."""
    room = language_model.max_length - benchmark.max_new_tokens
    task.set_fewshot_seed(_FEWSHOT_SEED)
    task.build_all_requests(limit=benchmark.limit)
    for request in task.instances:
        length = len(language_model.tok_encode(request.args[0]))
        if length > room:
            raise GiftError(
                f"benchmark {benchmark.task}: the prompt of problem {_name(request.doc, request.doc_id)} has {length} "
                f"tokens, and only {max(room, 0)} fit (context {language_model.max_length} minus max_new_tokens "
                f"{benchmark.max_new_tokens}); lower max_new_tokens, or use a model with a longer context"
            )


@dataclass
class _ProgressHook:
    """Counts completions. lm-eval tells its cache hook of each one as it happens; here nothing is cached."""

    task: str
    total: int
    progress: Progress
    finished: int = 0

    def add_partial(self, *_completion: Any) -> None:
        self.finished += 1
        self.progress(self.task, self.finished, self.total)


def _run(
    language_model: HFLM,
    task: Any,
    benchmark: BenchmarkConfig,
    config: EvaluationConfig,
    seed: int,
    progress: Progress,
) -> BenchmarkResult:
    problems = len(task.eval_docs)
    total = min(benchmark.limit or problems, problems) * benchmark.samples
    language_model.set_cache_hook(_ProgressHook(benchmark.task, total, progress))
    progress(benchmark.task, 0, total)
    torch.manual_seed(seed)
    # lm-eval builds the prompts again; without this its few-shot generator would go on from where the check left it.
    task.set_fewshot_seed(_FEWSHOT_SEED)
    output = lm_eval.evaluate(
        language_model, {"tasks": {benchmark.task: task}}, limit=benchmark.limit, bootstrap_iters=0, log_samples=True
    )
    samples = output["samples"][benchmark.task]
    primary = [sample for sample in samples if sample["filter"] == _PRIMARY_FILTER]
    correct = [float(sample["exact_match"]) for sample in primary]
    accuracy, stderr = mean_and_stderr(correct)
    return BenchmarkResult(
        task=benchmark.task,
        accuracy=accuracy,
        stderr=stderr,
        n=len(correct),
        ids=tuple(_identity(sample) for sample in primary),
        correct=tuple(correct),
        secondary=_secondary_metrics(samples),
        settings=EvaluationSettings(
            lm_eval_version=importlib.metadata.version("lm_eval"),
            task_version=str(output["versions"][benchmark.task]),
            fewshot_count=output["n-shot"][benchmark.task],
            samples=benchmark.samples,
            decoding=task.config.generation_kwargs,
            precision=config.precision,
            batch_size=config.batch_size,
            limit=benchmark.limit,
            seed=seed,
        ),
        samples=tuple(_answered(sample) for sample in primary[:_SHOWN_SAMPLES]),
    )


def _answered(sample: dict[str, Any]) -> AnsweredProblem:
    return AnsweredProblem(
        id=_identity(sample),
        question=sample["doc"]["question"],
        final_answer=sample["doc"]["final_answer"],
        completion=sample["resps"][0][0],
        correct=float(sample["exact_match"]),
    )


def _secondary_metrics(samples: list[dict[str, Any]]) -> dict[str, float]:
    """The other filters' accuracy and standard error, and the mean length of the completions up to a stop string."""
    metrics: dict[str, float] = {}
    for name in sorted({sample["filter"] for sample in samples} - {_PRIMARY_FILTER}):
        mean, stderr = mean_and_stderr([float(s["exact_match"]) for s in samples if s["filter"] == name])
        key = name.replace("-", "_")
        metrics |= {f"{key}_accuracy": mean, f"{key}_stderr": stderr}
    # In characters: lm-eval keeps no token ids, and encoding the text again may give other tokens.
    metrics["mean_completion_characters"] = fmean(len(text) for s in samples for texts in s["resps"] for text in texts)
    return metrics


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

"""The benchmarks as lm-eval tasks on local files: which YAML, which columns, which score counts.

This project's tasks are the files in `tasks/`, greedy or sampled, on any of its sets of problems and asked with the
run's own prompt; the others are lm-eval's own files with nothing but the place of their data replaced.
"""

import importlib.resources
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import yaml
from lm_eval.tasks import TaskManager

from gift.config import AnyBenchmark, BenchmarkConfig, BenchmarkTask, LmEvalBenchmark
from gift.data.problems import Problem, read_problems
from gift.evaluation.partial import partial_problem
from gift.evaluation.scoring import Mark, Score

Row = dict[str, Any]


@dataclass(frozen=True)
class LmEvalTask:
    """What the harness needs to know of a task."""

    name: str
    """In lm-eval."""
    package: str
    file: str
    """The task's YAML, in `package`."""
    splits: dict[str, str]
    """lm-eval's split → the file of problems in the folder of benchmarks."""
    columns: Callable[[Problem], Row]
    """The document that the task's prompt and score are made from, besides id, question and final_answer."""
    asks: Callable[[Problem], Problem] = lambda problem: problem
    """What is made of a problem before it is asked."""
    metric: str = "exact_match"
    filter: str = "strict-match"
    secondary: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name in the report → (metric, filter) of a further score."""


def _no_columns(_: Problem) -> Row:
    return {}


def _own(name: BenchmarkTask, problems: str, *, sampled: bool) -> dict[BenchmarkTask, LmEvalTask]:
    """A task of this project on a file of problems."""
    file = "tasks/heldout_sampled.yaml" if sampled else "tasks/heldout.yaml"
    return {name: LmEvalTask(name, "gift.evaluation", file, {"test": problems}, columns=_no_columns)}


def _partial(name: BenchmarkTask, problems: str) -> dict[BenchmarkTask, LmEvalTask]:
    """One that gives a part of each problem."""
    splits = {"test": problems}
    return {
        name: LmEvalTask(
            name, "gift.evaluation", "tasks/partial.yaml", splits, columns=_no_columns, asks=partial_problem
        )
    }


TASKS: dict[BenchmarkTask, LmEvalTask] = {
    **_own("heldout", "heldout.jsonl", sampled=False),
    **_own("heldout_sampled", "heldout.jsonl", sampled=True),
    **_own("gsm8k_greedy", "gsm8k/test.jsonl", sampled=False),
    **_own("gsm8k_sampled", "gsm8k/test.jsonl", sampled=True),
    **_own("math_greedy", "math/test.jsonl", sampled=False),
    **_own("math_sampled", "math/test.jsonl", sampled=True),
    **_own("math500_greedy", "math500/test.jsonl", sampled=False),
    **_own("math500_sampled", "math500/test.jsonl", sampled=True),
    **_own("aime24_greedy", "aime24/test.jsonl", sampled=False),
    **_own("aime24_sampled", "aime24/test.jsonl", sampled=True),
    **_own("aime25_greedy", "aime25/test.jsonl", sampled=False),
    **_own("aime25_sampled", "aime25/test.jsonl", sampled=True),
    **_own("amc23_greedy", "amc23/test.jsonl", sampled=False),
    **_own("amc23_sampled", "amc23/test.jsonl", sampled=True),
    **_own("fresh_greedy", "fresh/test.jsonl", sampled=False),
    **_own("fresh_sampled", "fresh/test.jsonl", sampled=True),
    **_partial("heldout_partial", "heldout.jsonl"),
    **_partial("gsm8k_partial", "gsm8k/test.jsonl"),
    **_partial("math_partial", "math/test.jsonl"),
    **_partial("math500_partial", "math500/test.jsonl"),
    **_partial("aime24_partial", "aime24/test.jsonl"),
    **_partial("aime25_partial", "aime25/test.jsonl"),
    **_partial("amc23_partial", "amc23/test.jsonl"),
    "gsm8k": LmEvalTask(
        "gsm8k",
        "lm_eval",
        "tasks/gsm8k/gsm8k.yaml",
        {"train": "gsm8k/train.jsonl", "test": "gsm8k/test.jsonl"},
        columns=lambda problem: {"answer": problem.answer},
        secondary={"flexible_extract": ("exact_match", "flexible-extract")},
    ),
    "math500": LmEvalTask(
        "minerva_math500",
        "lm_eval",
        "tasks/minerva_math/minerva_math500.yaml",
        {"test": "math500/test.jsonl"},
        columns=lambda problem: {"problem": problem.question, "solution": problem.answer},
        metric="math_verify",
        filter="none",
        secondary={"exact_match": ("exact_match", "none")},
    ),
    "aime24": LmEvalTask(
        "aime24",
        "lm_eval",
        "tasks/aime/aime24.yaml",
        {"train": "aime24/test.jsonl"},  # the hub's only split is called train
        columns=lambda problem: {"Problem": problem.question, "Answer": problem.final_answer},
        filter="none",
    ),
}


@dataclass(frozen=True)
class LoadedTask:
    """A benchmark, ready to be asked."""

    benchmark: AnyBenchmark
    parts: dict[str, Any]
    """lm-eval's tasks by their names there: one, or those of a group."""
    metric: str
    filter: str
    """Together the score that counts."""
    secondary: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name in the report → (metric, filter) of a further score."""
    asks_as_in_training: bool = False
    """Whether the task is one of ours, which asks what the run's prompt asks."""
    marks: dict[str, list[Mark]] = field(default_factory=dict)
    """Of a task of ours, by `gift.evaluation.scoring.marks_key`; filled while lm-eval scores it."""

    @property
    def is_named(self) -> bool:
        """Whether the profile names a task of lm-eval and its data, of which nothing is known here."""
        return isinstance(self.benchmark, LmEvalBenchmark)


def load_task(
    benchmark: BenchmarkConfig,
    benchmarks: Path,
    asked: Callable[[str], str],
    own_score: Callable[[dict[str, list[Mark]]], Score],
    scratch: Path,
) -> LoadedTask:
    """An lm-eval task: its YAML file, and a small one that includes it and adds what depends on the run.

    Args:
        asked: from a question to what the model is asked, for the tasks that ask as training does.
        own_score: of the answers to those tasks, from where it keeps its marks.

    Raises:
        GiftError: a file of problems is missing, empty or malformed.
    """
    task, marks = TASKS[benchmark.task], dict[str, list[Mark]]()
    ours = task.package == "gift.evaluation"
    data_files = {}
    for split, file in task.splits.items():
        path = scratch / benchmark.task / f"{split}.parquet"
        _write_documents(
            path, [_document(task, task.asks(problem), asked) for problem in read_problems(benchmarks / file)]
        )
        data_files[split] = str(path)
    overrides = {
        "include": str(importlib.resources.files(task.package) / task.file),
        "dataset_path": "parquet",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": data_files, "cache_dir": str(scratch)},
        "repeats": benchmark.samples,
        "task": task.name,
    }
    generated = scratch / f"{benchmark.task}.yaml"
    # Replaced below; without one, lm-eval asks a hub for the task's metrics.
    score = "process_results: !function gift.evaluation.scoring.share_of_right_answers\n" if ours else ""
    generated.write_text(yaml.safe_dump(overrides) + score, encoding="utf-8")
    # include_defaults would parse lm-eval's thousands of task files, which takes ten seconds.
    loaded = TaskManager(include_defaults=False).load([str(generated)])["tasks"][task.name]
    # An explicit length: lm-eval's default of 256 tokens cuts longer reasoning off.
    decoding: dict[str, Any] = {"max_gen_toks": benchmark.max_new_tokens}
    if ours:  # as in training: an answer ends where the model ends it
        decoding["until"] = []
        loaded.set_config("process_results", own_score(marks))
    loaded.set_config("generation_kwargs", decoding, update=True)
    parts = {task.name: loaded}
    return LoadedTask(benchmark, parts, task.metric, task.filter, task.secondary, ours, marks)


def _document(task: LmEvalTask, problem: Problem, asked: Callable[[str], str]) -> Row:
    return {
        "id": problem.id,
        "question": problem.question,
        "final_answer": problem.final_answer,
        "prompt": asked(problem.question),
        **task.columns(problem),
    }


def _write_documents(path: Path, documents: list[Row]) -> None:
    """Parquet, for its types: in JSON, answers that all look like dates are read as dates."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = datasets.Features({name: datasets.Value("string") for name in documents[0]})
    datasets.Dataset.from_list(documents, features=texts).to_parquet(path)

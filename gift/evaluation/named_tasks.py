"""Any task or group of lm-eval, by its name: its own YAML, and nothing but the place of its data replaced.

    lm_eval/<task>/<split>.jsonl ── all splits, nested columns and all ──> lm-eval's task, which takes what it reads

Left out, each refused in one line: tasks that are Python programs, that run what a model writes, that read pictures or
sounds, that ask for the likelihood of whole documents, or that ask several times; and metrics that are no mean over
problems.
"""

import functools
import importlib.metadata
import importlib.resources
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import pyarrow
from jinja2 import TemplateError
from lm_eval.api.registry import get_aggregation
from lm_eval.tasks import TaskManager

from gift.config import AnyBenchmark, LmEvalBenchmark
from gift.data.problems import read_rows
from gift.data.snapshots import LM_EVAL_FOLDER, snapshot_address
from gift.errors import GiftError
from gift.evaluation.language_model import refused_settings
from gift.evaluation.lm_eval_tasks import LoadedTask

Splits = Mapping[str, datasets.Dataset]
TaskYaml = Mapping[str, Any]

_NAME = re.compile(r"""^(?:task|group): *["']?([\w.-]+)""", re.MULTILINE)
# lm-eval's own default; GPQA's choices are shuffled while the task is loaded.
_SEED = 0
_OF_A_GROUP = {"group", "group_alias", "task", "aggregate_metric_list", "metadata", "tag"}
_UNFIT = {
    "class": "is a Python program with data of its own",
    "custom_dataset": "makes its own data",
    "unsafe_code": "runs what the model writes",
    "doc_to_image": "shows pictures",
    "doc_to_audio": "plays sounds",
}


def load_named_task(benchmark: LmEvalBenchmark, benchmarks: Path) -> LoadedTask:
    """lm-eval's task, or those of its group, on the rows that `gift.data.snapshots` has written.

    Raises:
        GiftError: lm-eval has no such task, metric or filter; the task reads another data set, or needs what is not
            here; or the rows are not what it reads.
    """
    name = benchmark.task
    manager = TaskManager(include_defaults=False, include_path=_home(name))
    yamls = {part: _yaml(manager, part) for part in _parts(manager, name)}
    splits = _read_splits(benchmark, benchmarks / LM_EVAL_FOLDER / name)
    for part, yaml in yamls.items():
        _check(benchmark, part, yaml, splits)
    random.seed(_SEED)
    here: dict[str, Any] = {"custom_dataset": lambda **_: splits, "dataset_kwargs": None}
    group = {"group": f"gift::{name}", "task": [{"task": part} | here for part in yamls]}
    try:
        with told_of_rows(benchmark):
            parts: dict[str, Any] = manager.load([group])["tasks"]
    except ModuleNotFoundError as error:
        raise GiftError(f"benchmark {name}: lm-eval needs the package {error.name} for it; install it") from error
    for part, task in parts.items():
        _finish(benchmark, part, task)
    return LoadedTask(benchmark, parts, benchmark.metric, benchmark.filter)


@contextmanager
def told_of_rows(benchmark: AnyBenchmark) -> Iterator[None]:
    """What lm-eval raises inside while it reads the rows of a named task is a fault of these.

    Raises:
        GiftError: that, in one line.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, TemplateError) as error:
        if not isinstance(benchmark, LmEvalBenchmark):
            raise
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise GiftError(
            f"benchmark {benchmark.task}: the rows of {snapshot_address(benchmark.data)} are not what lm-eval reads "
            f"({told}); correct data, or the local copy"
        ) from error


@functools.cache
def _homes() -> dict[str, Path]:
    """Name → folder of its YAML. lm-eval parses its thousands of files to know, which takes ten seconds."""
    root = Path(str(importlib.resources.files("lm_eval"))) / "tasks"
    homes: dict[str, Path] = {}
    for path in sorted(root.rglob("*.yaml")):
        for name in _NAME.findall(path.read_text(encoding="utf-8")):
            homes.setdefault(name, root / path.relative_to(root).parts[0])
    return homes


def _home(name: str) -> Path:
    if name not in _homes():
        version = importlib.metadata.version("lm_eval")
        raise GiftError(f"benchmark {name}: lm-eval {version} has no task and no group of that name; correct lm_eval")
    return _homes()[name]


def _yaml(manager: TaskManager, name: str) -> TaskYaml:
    """What its file says, with what that includes."""
    entry = manager.task_index.get(name)
    if entry is None or entry.cfg is None:
        raise GiftError(f"benchmark {name}: lm-eval has it as no task of its own; name one of its tasks")
    yaml: TaskYaml = entry.cfg
    return yaml


def _parts(manager: TaskManager, name: str) -> Iterator[str]:
    """The task itself, or all tasks of a group."""
    yaml = _yaml(manager, name)
    if "group" not in yaml:
        yield name
        return
    members = yaml.get("task") or []
    if set(yaml) - _OF_A_GROUP or not all(isinstance(member, str) for member in members):
        raise GiftError(f"benchmark {name}: this group of lm-eval changes its tasks; name one of its tasks")
    for member in members:
        yield from _parts(manager, member)


def _read_splits(benchmark: LmEvalBenchmark, folder: Path) -> Splits:
    paths = sorted(folder.glob("*.jsonl"))
    if not paths:
        raise GiftError(f"benchmark {benchmark.task}: {folder} has no rows; prepare the data again")
    return {path.stem: _read_split(benchmark, path) for path in paths}


def _read_split(benchmark: LmEvalBenchmark, path: Path) -> datasets.Dataset:
    rows = [row for _, row in read_rows(path)]
    columns = dict.fromkeys(column for row in rows for column in row)
    try:
        return datasets.Dataset.from_dict({column: [row.get(column) for row in rows] for column in columns})
    except pyarrow.ArrowException as error:
        where = f"benchmark {benchmark.task}: split {path.stem} of {snapshot_address(benchmark.data)}"
        raise GiftError(f"{where} has a column with values of several types ({error})") from None


def _check(benchmark: LmEvalBenchmark, part: str, yaml: TaskYaml, splits: Splits) -> None:
    """Whether the task can be asked here, and on these data."""
    where, data = f"benchmark {benchmark.task}: lm-eval's task {part}", benchmark.data
    unfit = [why for key, why in _UNFIT.items() if yaml.get(key)]
    if yaml.get("output_type") == "loglikelihood_rolling":
        unfit.append("asks for the likelihood of whole documents")
    if yaml.get("repeats", 1) > 1:
        unfit.append("asks each problem several times")
    if unfit:
        raise GiftError(f"{where} {unfit[0]}, which is not evaluated here; choose another")
    reads = (yaml.get("dataset_path"), yaml.get("dataset_name"))
    if reads != (data.repository, data.subset):
        repository, subset = reads
        raise GiftError(
            f"{where} reads repository {repository}, subset {subset or 'none'}, and not {snapshot_address(data)}; "
            "correct data"
        )
    few_shot = yaml.get("fewshot_config") or {}
    uses = ("training_split", "validation_split", "test_split", "fewshot_split")
    named = [*(yaml.get(use) for use in uses), few_shot.get("split")]
    missing = [split for split in named if split and split not in splits]
    if missing:
        raise GiftError(f"{where} reads the split {missing[0]}; the data have {', '.join(splits)}")


def _finish(benchmark: LmEvalBenchmark, part: str, task: Any) -> None:
    """What depends on the run, in a task that is loaded."""
    where, config = f"benchmark {benchmark.task}: lm-eval's task {part}", task.config
    means = [metric for metric, rule in task.aggregation().items() if rule is get_aggregation("mean")]
    if benchmark.metric not in means:
        raise GiftError(
            f"{where} has no mean of {benchmark.metric} over its problems; choose one of {', '.join(means)}"
        )
    filters = [one["name"] for one in config.filter_list or [{"name": "none"}]]
    if benchmark.filter not in filters:
        raise GiftError(f"{where} has no filter {benchmark.filter}; choose one of {', '.join(filters)}")
    if config.process_docs is not None:
        task.set_config("process_docs", _once(config.process_docs))
    if task.OUTPUT_TYPE == "generate_until":
        settings = {"do_sample": False, "temperature": 0.0} | config.generation_kwargs
        until = settings["until"]
        settings |= {"until": [until] if isinstance(until, str) else until, "max_gen_toks": benchmark.max_new_tokens}
        if refused := refused_settings(settings):
            raise GiftError(f"{where} decodes with {', '.join(refused)}, which is not done here; choose another")
        task.set_config("generation_kwargs", settings)


def _once(process_docs: Any) -> Any:
    """lm-eval processes the rows at every look, and a task that shuffles would show and score different choices."""

    @functools.cache
    def processed(rows: datasets.Dataset) -> datasets.Dataset:
        random.seed(_SEED)
        return process_docs(rows)

    return processed

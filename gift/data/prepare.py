"""From a configuration to the files every later stage reads.

sft.jsonl             demonstrations of the SFT warm-up
train.jsonl           prompts of the RL stage
heldout.jsonl         problems that are never trained on
scored.jsonl          scored responses, where the data has them
<set>/<split>.jsonl   the public or made problems that `evaluation.benchmarks` ask
lm_eval/…             the rows of lm-eval's own tasks (`gift.data.snapshots`)
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gift.config import (
    AnyBenchmark,
    ArithmeticData,
    DataConfig,
    JsonLinesData,
    RunConfig,
    data_folder,
    problem_set,
)
from gift.data import public
from gift.data.earnable import only_earnable, refuse_unearnable, verifiers_by_split
from gift.data.fresh import fresh_problems
from gift.data.problems import Problem, read_rows, refuse_unreadable, write_problems
from gift.data.public import PublicData, local_file, read_public
from gift.data.scored import write_scored
from gift.data.snapshots import LM_EVAL_FOLDER, local_splits, snapshots_of, write_snapshot
from gift.data.splits import SPLITS, Splits, make_splits, training_data
from gift.errors import GiftError
from gift.fingerprint.files import sha256_of

OWN_FILES = ("train_file", "heldout_file", "scored_file")
"""Keys of `data.source: jsonl` that name files."""
BENCHMARK_DATA: dict[str, dict[str, PublicData]] = {
    "gsm8k": {"train": public.GSM8K_TRAIN, "test": public.GSM8K_TEST},
    "math": {"test": public.MATH_TEST},
    "math500": {"test": public.MATH500},
    "aime24": {"test": public.AIME24},
    "aime25": {"test": public.AIME25},
    "amc23": {"test": public.AMC23},
}
"""Set of problems → split → where it is."""
MADE = "fresh"
"""The set of problems that is made, and not read."""
HELDOUT = "heldout"
"""The set of problems that is a split of the run's own data."""


def check_data(config: RunConfig) -> None:
    """Find what is missing before a run starts; costs no more than opening the files.

    Raises:
        GiftError: a folder or file that the configuration names does not exist.
    """
    _own_files(config)
    for data in public_data(config):
        local_file(data, data_folder(config.data))
    for task in snapshots_of(config):
        local_splits(task, data_folder(config.data))


def public_data(config: RunConfig) -> list[PublicData]:
    """The public data sets that the run reads: for training, and for lm-eval's own tasks."""
    needed = training_data(config.data)
    for task in sorted(_asked_sets(config) & BENCHMARK_DATA.keys()):
        needed += [data for data in BENCHMARK_DATA[task].values() if data not in needed]
    return needed


def problems_asked(config: RunConfig, benchmark: AnyBenchmark) -> int | None:
    """How many problems a benchmark asks of each model, as far as it is known before the data are read."""
    asked = problem_set(benchmark.task)
    if asked == MADE:
        problems: int | None = config.evaluation.fresh.problems
    elif asked == HELDOUT:
        problems = _heldout_problems(config.data)
    else:
        problems = BENCHMARK_DATA[asked]["test"].problems if asked in BENCHMARK_DATA else None
    return problems if problems is None else min(problems, benchmark.limit or problems)


def _heldout_problems(data: DataConfig) -> int | None:
    """At most; None where the file of one's own is not there."""
    if not isinstance(data, JsonLinesData):
        return data.heldout
    return min(data.heldout, sum(1 for _ in read_rows(data.heldout_file))) if data.heldout_file.is_file() else None


def data_settings(config: RunConfig) -> dict[str, Any]:
    """What decides the data, by name: the configuration, with the content of local files (not their place) in it."""
    copies = {data.name: local_file(data, data_folder(config.data)) for data in public_data(config)}
    return {
        "data": config.data.model_dump(mode="json", exclude={"folder", *OWN_FILES}),
        "seed": config.seed if isinstance(config.data, ArithmeticData) else None,
        "benchmarks": sorted(_asked_sets(config) & BENCHMARK_DATA.keys()),
        "fresh problems": config.evaluation.fresh.model_dump() if MADE in _asked_sets(config) else None,
        "needs demonstrations": config.sft.steps > 0,
        "final answers": {
            split: [rule.reads for rule in verifiers] for split, verifiers in verifiers_by_split(config).items()
        },
        "file": {name: sha256_of(path) for name, path in (copies | _own_files(config)).items() if path},
        "lm-eval": {task: _snapshot_settings(config, task) for task in snapshots_of(config)},
    }


def write_data(config: RunConfig, destination: Path) -> dict[str, int]:
    """Write the files above into `destination`.

    Returns: counts, named `rows.<split>`, `dropped.<split>.<reason>`, and `contamination.<benchmark>.<count>` (see
        `gift.data.contamination.Contamination`).

    Raises:
        GiftError: a source is missing or empty, or has a row that is no problem; a split asks for too many problems; or
            the problems lack what the run needs of them.
    """
    benchmarks = _benchmark_problems(config)
    tested = {task: problems for (task, split), problems in benchmarks.items() if split == "test"}
    splits = _earnable(config, make_splits(config.data, config.seed, tested))
    if config.sft.steps and not splits.sft:
        raise GiftError("data: there are no demonstrations; set sft.steps to 0, or data.sft to how many to take")
    if not splits.train:
        raise GiftError(f"data: no problem is left to train on ({splits.dropped}); train on other problems")
    _refuse_few_heldout(config, splits)
    for task, data in snapshots_of(config).items():
        write_snapshot(task, data, data_folder(config.data), destination / LM_EVAL_FOLDER / task)
    for (task, split), problems in benchmarks.items():
        write_problems(destination / task / f"{split}.jsonl", problems)
    for name in SPLITS:
        write_problems(destination / f"{name}.jsonl", getattr(splits, name))
    if splits.scored:
        write_scored(destination / "scored.jsonl", splits.scored)
    rows = {name: len(getattr(splits, name)) for name in (*SPLITS, "scored")}
    return {
        **{f"rows.{name}": count for name, count in rows.items() if count or name in SPLITS},
        **{f"dropped.{reason}": count for reason, count in splits.dropped.items() if count},
        **{
            f"contamination.{benchmark}.{name}": count
            for benchmark, found in splits.contamination.items()
            for name, count in asdict(found).items()
        },
    }


def _earnable(config: RunConfig, splits: Splits) -> Splits:
    """Refuse problems that no response can earn, or leave them out where that harms nothing.

    Of public data, training problems are left out like their other flaws, and a benchmark is never made smaller.

    Raises:
        GiftError: a final answer can't be earned, and is not to be left out; or nothing would be left.
    """
    own = isinstance(config.data, JsonLinesData)
    drops = getattr(config.data, "unearnable", "drop") == "drop"
    for split, verifiers in verifiers_by_split(config).items():
        problems = getattr(splits, split)
        kept = only_earnable(problems, verifiers)
        if kept and drops and (own or split == "train"):
            dropped = splits.dropped | {f"{split}.unearnable": len(problems) - len(kept)}
            changed: dict[str, Any] = {split: kept, "dropped": dropped}
            splits = replace(splits, **changed)
        else:
            way_out = "or what reads them" + (", or set data.unearnable to drop" if own and not drops else "")
            refuse_unearnable(problems, verifiers, split, way_out)
    return splits


def _refuse_few_heldout(config: RunConfig, splits: Splits) -> None:
    """Raises: GiftError: none is held out, or one, of which a benchmark could not tell how sure its score is."""
    needed = 2 if HELDOUT in _asked_sets(config) else 1
    if len(splits.heldout) < needed:
        raise GiftError(
            f"data: the held-out split has {len(splits.heldout)} of the {needed} or more problems that the run needs "
            f"({splits.dropped}); hold out others"
        )


def _benchmark_problems(config: RunConfig) -> dict[tuple[str, str], list[Problem]]:
    """(set, split) → its problems."""
    asked = _asked_sets(config)
    problems = {
        (name, split): read_public(data, data_folder(config.data))
        for name in sorted(asked & BENCHMARK_DATA.keys())
        for split, data in BENCHMARK_DATA[name].items()
    }
    if MADE in asked:
        fresh = config.evaluation.fresh
        problems[MADE, "test"] = fresh_problems(fresh.seed, fresh.problems, fresh.steps)
    return problems


def _asked_sets(config: RunConfig) -> set[str]:
    """The sets of problems that the tasks ask: `aime24_sampled` and `aime24` the same one."""
    return set(filter(None, (problem_set(one.task) for one in config.evaluation.benchmarks)))


def _snapshot_settings(config: RunConfig, task: str) -> dict[str, Any]:
    """Where a task's rows come from, or the content of their local copies."""
    files = local_splits(task, data_folder(config.data))
    copies = {split: sha256_of(path) for split, path in files.items()}
    return copies or snapshots_of(config)[task].model_dump(mode="json")


def _own_files(config: RunConfig) -> dict[str, Path | None]:
    """Key of the configuration → file; nothing where the data are public."""
    if not isinstance(config.data, JsonLinesData):
        return {}
    files: dict[str, Path | None] = {name: getattr(config.data, name) for name in OWN_FILES}
    for name, path in files.items():
        if path is not None:
            refuse_unreadable(path, f"correct data.{name}")
    return files

"""Data sets that lm-eval's tasks read: all splits of one commit, row by row as they are, nested columns and all.

    <data folder>/<task>/<split>.jsonl(.gz)   comes before the hub

Left out: any look into the rows, which lm-eval's own YAML reads when the task is asked; and a column of nothing but
nulls.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gift.config import DataSnapshot, LmEvalBenchmark, RunConfig
from gift.data.problems import read_rows, write_rows
from gift.errors import GiftError
from gift.host.inside_folder import check_inside

LM_EVAL_FOLDER = "lm_eval"
"""Of the prepared data: `lm_eval/<task>/<split>.jsonl`."""


def snapshots_of(config: RunConfig) -> dict[str, DataSnapshot]:
    """Task → its data, for the benchmarks that name lm-eval's tasks."""
    return {one.task: one.data for one in config.evaluation.benchmarks if isinstance(one, LmEvalBenchmark)}


def snapshot_address(data: DataSnapshot) -> str:
    """`organisation/name@commit`, and the subset."""
    return f"{data.repository}@{data.revision}" + (f" ({data.subset})" if data.subset else "")


def local_splits(task: str, folder: Path | None) -> dict[str, Path]:
    """Split → file of the local copy; nothing where the hub is to be asked.

    Raises:
        GiftError: the folder is given and has no such copy, or a file of it is elsewhere.
    """
    if folder is None:
        return {}
    files = sorted((folder / task).glob("*.jsonl")) + sorted((folder / task).glob("*.jsonl.gz"))
    if not files:
        raise GiftError(f"data folder {folder} has no {task}/<split>.jsonl; put a file there for each split of {task}")
    for path in files:
        check_inside(folder, path)
    return {path.name.partition(".jsonl")[0]: path for path in files}


def write_snapshot(task: str, data: DataSnapshot, folder: Path | None, destination: Path) -> None:
    """Write `<split>.jsonl` of every split into `destination`.

    Raises:
        GiftError: the local copy is damaged, or the hub does not give the data set away.
    """
    local = local_splits(task, folder)
    splits = {split: _rows(path) for split, path in local.items()} if local else _hub_splits(task, data)
    for split, rows in splits.items():
        try:
            write_rows(destination / f"{split}.jsonl", rows)
        except TypeError as error:
            where = f"benchmark {task}: split {split} of {snapshot_address(data)}"
            raise GiftError(f"{where} has a column that is no JSON ({error})") from None


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    return (row for _, row in read_rows(path))


def _hub_splits(task: str, data: DataSnapshot) -> Mapping[str, Iterable[dict[str, Any]]]:
    import datasets  # only this path needs the library, and it takes seconds to import

    try:
        splits: Mapping[str, Any] = datasets.load_dataset(data.repository, data.subset, revision=data.revision)
    except (OSError, ValueError, datasets.exceptions.DatasetNotFoundError) as error:
        raise GiftError(
            f"benchmark {task}: {snapshot_address(data)} can't be loaded from the hub ({type(error).__name__}); if it "
            "is gated, accept its terms on its page and set HF_TOKEN, or set GIFT_DATA_DIR or data.folder to a folder "
            f"with {task}/<split>.jsonl"
        ) from error
    return splits

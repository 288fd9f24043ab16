"""From a data configuration to the files every later stage reads.

    sft.jsonl       demonstrations of the SFT warm-up
    train.jsonl     prompts of the RL stage
    heldout.jsonl   benchmark problems, never trained on
    gsm8k/{train,test}.jsonl   the original rows, for lm-eval's own `gsm8k` task (only with GSM8K data)

Left out: MATH and AIME, filters for contamination, and data sets with preferences or scores.
"""

import hashlib
import json
from pathlib import Path

from gift.config import ArithmeticData, DataConfig, Gsm8kData, JsonLinesData
from gift.data import arithmetic
from gift.data.problems import Problem, problem_from_row, read_problems, write_problems
from gift.errors import GiftError

SPLITS = ("sft", "train", "heldout")


def check_data(config: DataConfig) -> None:
    """Find what is missing before a run starts; costs no more than opening the files.

    Raises:
        GiftError: a folder or file that the configuration names does not exist.
    """
    if not isinstance(config, ArithmeticData):
        _local_files(config)


def source_identity(config: DataConfig, seed: int) -> str:
    """What decides the data: the configuration, with the content of local files (not their place) in it."""
    described = config.model_dump(mode="json", exclude={"folder", "train_file", "heldout_file"})
    if isinstance(config, ArithmeticData):
        described["seed"] = seed
    else:
        described["files"] = [_sha256(path) for path in _local_files(config)]
    return json.dumps(described, sort_keys=True)


def write_splits(config: DataConfig, seed: int, destination: Path) -> dict[str, int]:
    """Write the files above into `destination`; returns the number of problems per split.

    Raises:
        GiftError: a source is missing, empty, or has a row that is no problem; or a split asks for too many problems.
    """
    match config:
        case ArithmeticData():
            splits = _arithmetic(config, seed)
        case Gsm8kData():
            splits = _gsm8k(config, destination / "gsm8k")
        case JsonLinesData():
            train = read_problems(config.train_file)
            splits = {"sft": train, "train": train, "heldout": read_problems(config.heldout_file)}
            splits = {name: problems[: getattr(config, name)] for name, problems in splits.items()}
    _refuse_overlap(splits)
    for name in SPLITS:
        write_problems(destination / f"{name}.jsonl", splits[name])
    return {name: len(splits[name]) for name in SPLITS}


def _arithmetic(config: ArithmeticData, seed: int) -> dict[str, list[Problem]]:
    try:
        made = arithmetic.make_splits(
            seed, config.sft, config.train, config.heldout, config.slip_rate, config.early_stop_rate
        )
    except ValueError as error:
        raise GiftError(f"data: {error}") from error
    return {
        name: [Problem(p.id, p.question, p.answer, p.final_answer) for p in problems] for name, problems in made.items()
    }


def _gsm8k(config: Gsm8kData, originals: Path) -> dict[str, list[Problem]]:
    originals.mkdir(parents=True, exist_ok=True)
    train, test = originals / "train.jsonl", originals / "test.jsonl"
    files = _local_files(config)
    if files:
        for source, target in zip(files, (train, test), strict=True):
            write_problems(target, read_problems(source))
    else:
        _download_gsm8k(config, train, test)
    return {
        "sft": read_problems(train, config.sft),
        "train": read_problems(train, config.train),
        "heldout": read_problems(test, config.heldout),
    }


def _download_gsm8k(config: Gsm8kData, train: Path, test: Path) -> None:
    import datasets  # only this path needs the library, and it takes seconds to import

    try:
        loaded = datasets.load_dataset(config.hub_name, "main", revision=config.hub_revision)
    except (OSError, datasets.exceptions.DatasetNotFoundError) as error:
        raise GiftError(
            f"data: {config.hub_name} can't be loaded from the hub ({type(error).__name__}); set GIFT_DATA_DIR or "
            "data.folder to a folder with gsm8k_train.jsonl.gz and gsm8k_test.jsonl.gz"
        ) from error
    for split, path in (("train", train), ("test", test)):
        rows = (
            problem_from_row(row, where=f"{config.hub_name}/{split}", default_id=f"gsm8k/{split}/{index}")
            for index, row in enumerate(loaded[split])
        )
        write_problems(path, rows)


def _local_files(config: DataConfig) -> list[Path]:
    """The files that will be read, in the order train, held-out; empty when the hub is asked."""
    match config:
        case Gsm8kData():
            folder = config.local_folder
            if folder is None:
                return []
            if not folder.is_dir():
                raise GiftError(f"data folder {folder} does not exist; correct GIFT_DATA_DIR or data.folder")
            return [_find(folder, "gsm8k_train"), _find(folder, "gsm8k_test")]
        case JsonLinesData():
            for path in (config.train_file, config.heldout_file):
                if not path.is_file():
                    raise GiftError(f"data file {path} does not exist; correct data.train_file or data.heldout_file")
            return [config.train_file, config.heldout_file]
    return []


def _find(folder: Path, stem: str) -> Path:
    for suffix in (".jsonl.gz", ".jsonl"):
        if (folder / f"{stem}{suffix}").is_file():
            return folder / f"{stem}{suffix}"
    raise GiftError(f"data folder {folder} has neither {stem}.jsonl.gz nor {stem}.jsonl")


def _refuse_overlap(splits: dict[str, list[Problem]]) -> None:
    """A benchmark problem that was trained on makes the report worthless."""
    heldout = {problem.question for problem in splits["heldout"]}
    for name in ("sft", "train"):
        shared = [problem.id for problem in splits[name] if problem.question in heldout]
        if shared:
            raise GiftError(
                f"data: {len(shared)} questions of split {name} are also held out, the first is {shared[0]}"
            )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

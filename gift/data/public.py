"""Public data sets: where each is found and how its rows become problems.

A folder with local copies (`<name>.jsonl` or `<name>.jsonl.gz`) comes before the hub; hub data sets are pinned to
commits, so that nothing changes under a run. Left out: any choice between rows; see `gift.data.cleaning`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gift.data.problems import Problem, answer_in, id_in, problem_from_row, read_rows, shown, text_in
from gift.errors import GiftError
from gift.host.inside_folder import check_inside
from gift.judge.answers import last_boxed

RowReader = Callable[[Any, str, str], Problem]
"""(row, where it stands, id if it has none) → problem."""


@dataclass(frozen=True)
class PublicData:
    """One split of a public data set."""

    name: str
    """Of the local file, without suffix."""
    repository: str
    revision: str
    split: str
    to_problem: RowReader
    subset: str | None = None
    hub_columns: dict[str, str] = field(default_factory=dict)
    """Columns that the hub names differently: hub's name → local name."""
    problems: int | None = None
    """How many a split for benchmarks has."""

    @property
    def address(self) -> str:
        """`organisation/name@commit`, for people."""
        return f"{self.repository}@{self.revision}"


def read_public(data: PublicData, folder: Path | None) -> list[Problem]:
    """All problems, in the data set's order.

    Raises:
        GiftError: the local file does not exist, the hub does not answer, or a row is malformed (it is named).
    """
    return [data.to_problem(row, where, default_id) for where, default_id, row in public_rows(data, folder)]


def public_rows(data: PublicData, folder: Path | None) -> Iterator[tuple[str, str, Any]]:
    """(where it stands, id if it has none, row), with the local files' columns; raises as `read_public` does."""
    path = local_file(data, folder)
    if path:
        for number, row in read_rows(path):
            yield f"{path}, line {number}", f"{data.name}/{number - 1}", row
    else:
        for index, row in enumerate(_hub_rows(data)):
            renamed = {data.hub_columns.get(column, column): value for column, value in row.items()}
            yield f"{data.address}, row {index}", f"{data.name}/{index}", renamed


def local_file(data: PublicData, folder: Path | None) -> Path | None:
    """The local copy, or None where the hub is to be asked.

    Raises:
        GiftError: the folder, or the file in it, does not exist, or the file is elsewhere.
    """
    if folder is None:
        return None
    if not folder.is_dir():
        raise GiftError(f"data folder {folder} does not exist; correct GIFT_DATA_DIR or data.folder")
    for suffix in (".jsonl.gz", ".jsonl"):
        path = folder / f"{data.name}{suffix}"
        if path.exists():
            check_inside(folder, path)
            return path
    raise GiftError(f"data folder {folder} has neither {data.name}.jsonl.gz nor {data.name}.jsonl")


def _hub_rows(data: PublicData) -> Any:
    import datasets  # only this path needs the library, and it takes seconds to import

    try:
        return datasets.load_dataset(data.repository, data.subset, split=data.split, revision=data.revision)
    except (OSError, ValueError, datasets.exceptions.DatasetNotFoundError) as error:
        raise GiftError(
            f"data: {data.address} can't be loaded from the hub ({type(error).__name__}); set GIFT_DATA_DIR or "
            f"data.folder to a folder with {data.name}.jsonl.gz"
        ) from error


def _math_problem(row: Any, where: str, default_id: str) -> Problem:
    question, solution = _required(row, "problem", where), _required(row, "solution", where)
    name = id_in(row, "unique_id", where, default_id)
    return Problem(name, question, solution, (last_boxed(solution) or "").strip())


def _aime_problem(row: Any, where: str, default_id: str) -> Problem:
    answer = answer_in(row, "answer", where)
    if not re.fullmatch("[0-9]{1,3}", answer):
        raise GiftError(f"{where}: the answer of an AIME problem is an integer from 0 to 999, not {shown(answer)}")
    return _competition_problem(row, where, default_id, str(int(answer)))  # "033" is 33


def _amc_problem(row: Any, where: str, default_id: str) -> Problem:
    answer = answer_in(row, "answer", where).removesuffix(".0")
    if not re.fullmatch("-?[0-9]+", answer):
        raise GiftError(f"{where}: the answer of an AMC problem is an integer, not {shown(answer)}")
    return _competition_problem(row, where, default_id, str(int(answer)))


def _competition_problem(row: Any, where: str, default_id: str, answer: str) -> Problem:
    """Its text is called `problem` in some copies, and `question` in others."""
    question = text_in(row, "question", where) or _required(row, "problem", where)
    return Problem(id_in(row, "id", where, default_id), question, text_in(row, "solution", where), answer)


def _dapo_problem(row: Any, where: str, default_id: str) -> Problem:
    answer = answer_in(row, "answer", where)
    if not answer:
        raise GiftError(f"{where}: the row has no answer")
    return Problem(default_id, _required(row, "problem", where), "", answer)


def _ultrafeedback_problem(row: Any, where: str, default_id: str) -> Problem:
    question, chosen, _ = preference(row, where)
    return Problem(id_in(row, "prompt_id", where, default_id), question, chosen, "")


def preference(row: Any, where: str) -> tuple[str, str, str]:
    """(question, chosen response, rejected response) of a row of UltraFeedback; a response may be empty.

    Raises:
        GiftError: the row is no such row.
    """
    question = _required(row, "prompt", where)
    try:
        chosen, rejected = (row[side][-1]["content"].strip() for side in ("chosen", "rejected"))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise GiftError(f"{where}: chosen and rejected must be conversations that end with a response") from error
    return question, chosen, rejected


def _required(row: Any, key: str, where: str) -> str:
    value = text_in(row, key, where)
    if not value:
        raise GiftError(f"{where}: the row has no {key}")
    return value


_GSM8K = ("openai/gsm8k", "e53f048856ff4f594e959d75785d2c2d37b678ee")
_MATH = ("DigitalLearningGmbH/MATH-lighteval", "0530c78699ea5e8eb5530600900e1f328b48acad")
_MATH500 = ("HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be")
_AIME24 = ("HuggingFaceH4/aime_2024", "2fe88a2f1091d5048c0f36abc874fb997b3dd99a")
_AIME25 = ("math-ai/aime25", "563bb8404243c5f09de6ec262f2db674fe5bce9b")
_AMC23 = ("math-ai/amc23", "80815d37005feb82cd7f8fbc6901d5d3eff43057")
# The original repeats each of its prompts a hundred times, inside the instruction; this copy has each once, bare.
_DAPO = ("open-r1/DAPO-Math-17k-Processed", "31dd309567e3da778038cc87d868b6097a3ccf68")
_ULTRAFEEDBACK = ("HuggingFaceH4/ultrafeedback_binarized", "3949bf5f8c17c394422ccfab0c31ea9c20bdeb85")

GSM8K_TRAIN = PublicData("gsm8k_train", *_GSM8K, "train", problem_from_row, subset="main")
GSM8K_TEST = PublicData("gsm8k_test", *_GSM8K, "test", problem_from_row, subset="main", problems=1_319)
MATH_TRAIN = PublicData("math_train", *_MATH, "train", _math_problem)
MATH_TEST = PublicData("math_test", *_MATH, "test", _math_problem, problems=5_000)
MATH500 = PublicData("math500", *_MATH500, "test", _math_problem, problems=500)
AIME24 = PublicData("aime24", *_AIME24, "train", _aime_problem, problems=30)
AIME25 = PublicData("aime25", *_AIME25, "test", _aime_problem, problems=30)
AMC23 = PublicData("amc23", *_AMC23, "test", _amc_problem, problems=40)
DAPO = PublicData(
    "dapo_math_17k",
    *_DAPO,
    "train",
    _dapo_problem,
    subset="all",
    hub_columns={"prompt": "problem", "solution": "answer"},
)
ULTRAFEEDBACK_TRAIN = PublicData("ultrafeedback_train", *_ULTRAFEEDBACK, "train_prefs", _ultrafeedback_problem)
ULTRAFEEDBACK_TEST = PublicData("ultrafeedback_test", *_ULTRAFEEDBACK, "test_prefs", _ultrafeedback_problem)

"""Every answer of an evaluation, one row each, as Parquet: what was asked, what came back, and what it counts.

    benchmark   problem            sample  prompt  completion  answer  score  judged  tokens  truncated
    heldout     train-17@5e0b…     0       …       …           18      1.0    true    96      false

With it others can recompute every number of `results.json`, and read what a model said. Left out: token ids, which
encoding the texts again may not give back, and log-probabilities.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_type_hints

from gift.errors import GiftError

if TYPE_CHECKING:
    import pyarrow

ANSWERS_FILE = "answers.parquet"


@dataclass(frozen=True)
class Answer:
    """One completion of one problem."""

    benchmark: str
    problem: str
    """Its name with a digest of prompt and reference, as in `BenchmarkResult.ids`."""
    sample: int
    """Which of the problem's completions, from 0."""
    question: str
    reference: str
    """The final answer that is right."""
    prompt: str
    """What the model was asked, as text."""
    completion: str
    answer: str | None
    """The final answer that was found in it; None for none."""
    score: float
    """1 for right, 0 for wrong."""
    judged: bool
    """Whether the judge came to a verdict; what is not judged counts as wrong."""
    tokens: int
    """Of the completion, its end included."""
    truncated: bool
    """It was cut at `max_new_tokens`."""


def write_answers(path: Path, answers: Iterable[Answer]) -> None:
    """Write the rows in their order; an existing file is replaced."""
    import pyarrow  # takes a moment, and only an evaluation needs it
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([asdict(answer) for answer in answers], _schema()), path)


def read_answers(path: Path, origin: str | None = None) -> list[Answer]:
    """The rows in their order; messages name their `origin` where `path` is only a copy.

    Raises:
        GiftError: the file is not there, or holds something else.
    """
    import pyarrow
    import pyarrow.parquet

    where = origin or path
    if not path.is_file():
        raise GiftError(f"there are no answers at {where}: the evaluation is of an older version; evaluate again")
    try:
        rows = pyarrow.parquet.read_table(path, schema=_schema()).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise GiftError(f"{where} does not hold answers ({type(error).__name__}); evaluate again") from error
    return [Answer(**row) for row in rows]


def by_problem(answers: Iterable[Answer]) -> Mapping[str, Mapping[str, list[Answer]]]:
    """Benchmark → problem → its answers, all in the order of the rows."""
    found: dict[str, dict[str, list[Answer]]] = {}
    for answer in answers:
        found.setdefault(answer.benchmark, {}).setdefault(answer.problem, []).append(answer)
    return found


def _schema() -> "pyarrow.Schema":
    import pyarrow

    types = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    kinds = get_type_hints(Answer)
    required = {name: kind for name, kind in kinds.items() if kind in types}
    return pyarrow.schema(
        [pyarrow.field(name, types[required.get(name, str)], nullable=name not in required) for name in kinds]
    )

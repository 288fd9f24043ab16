"""What an evaluation leaves behind: one `BenchmarkResult` per benchmark, in one JSON file.

It keeps every problem's score, because models are compared problem by problem. Left out: all completions but a few for
people to read; `gift.evaluation.answers` has them.
"""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from gift.errors import GiftError
from gift.host.small_file import read_small_file

RESULTS_FILE = "results.json"


class EvaluationSettings(BaseModel):
    """How the numbers came about; enough to repeat them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lm_eval_version: str
    task_version: str
    fewshot_count: int
    asked_in: str = "plain text"
    """Or the model's chat template."""
    engine: str = "transformers"
    """What completed the prompts."""
    samples: int
    """Completions per problem."""
    decoding: dict[str, Any]
    """lm-eval's generation arguments: stop strings, `max_gen_toks`, `do_sample`, temperature, …"""
    precision: str
    batch_size: int
    limit: int | None
    seed: int


class AnsweredProblem(BaseModel):
    """One problem and the model's (first) completion, for people to read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    question: str
    final_answer: str
    completion: str
    correct: float


class BenchmarkResult(BaseModel):
    """The score of one model on one benchmark.

    `ids` name the problems together with a digest of prompt and answer: equal ids mean the same problems, asked the
    same way. `correct` holds one score in [0, 1] per id; with several samples it is their mean.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    accuracy: float
    """The mean of `correct`."""
    stderr: float
    """The standard error of `accuracy` over problems, in the same unit."""
    n: int
    """Number of problems."""
    ids: tuple[str, ...]
    correct: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    secondary: dict[str, float]
    """Further metrics, such as `flexible_extract_accuracy` and `mean_completion_characters`."""
    settings: EvaluationSettings
    samples: tuple[AnsweredProblem, ...] = ()
    """The first few problems with what the model answered."""

    @model_validator(mode="after")
    def one_score_per_problem(self) -> Self:
        if not self.n == len(self.ids) == len(self.correct):
            raise ValueError(f"n ({self.n}), ids ({len(self.ids)}) and correct ({len(self.correct)}) must agree")
        return self


_RESULTS = TypeAdapter(dict[str, BenchmarkResult])


def save_results(path: Path, results: dict[str, BenchmarkResult]) -> None:
    """Write the results by benchmark as JSON; a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_bytes(_RESULTS.dump_json(results, indent=2))
    unfinished.replace(path)


def load_results(path: Path, origin: str | None = None) -> dict[str, BenchmarkResult]:
    """The results that `save_results` wrote; messages name their `origin` where `path` is only a copy.

    Raises:
        GiftError: the file is missing or holds something else.
    """
    where = origin or path
    if not path.exists():
        raise GiftError(f"evaluation results {where} do not exist; run the evaluation first")
    try:
        return _RESULTS.validate_json(read_small_file(path))
    except ValidationError as error:
        fault = error.errors()[0]
        location = ".".join(str(part) for part in fault["loc"])
        raise GiftError(f"{where} does not hold evaluation results: {location}: {fault['msg']}") from None

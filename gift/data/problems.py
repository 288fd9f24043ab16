"""The one schema of every data source, and its JSON Lines files.

A problem is a question with a worked answer that ends in `#### <final answer>`, as in GSM8K. Demonstrations for SFT,
prompts for RL and benchmark problems are all problems.
"""

import gzip
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gift.errors import GiftError

ANSWER_MARK = "#### "


@dataclass(frozen=True)
class Problem:
    """One question; `answer` is the worked solution, `final_answer` what stands after its last `####`."""

    id: str
    question: str
    answer: str
    final_answer: str


def prompt_text(question: str) -> str:
    """The prompt of every model in this project: the zero-shot form of lm-eval's gsm8k."""
    return f"Question: {question}\nAnswer:"


def completion_text(answer: str) -> str:
    """What follows the prompt; the end-of-sequence token is added by the tokenization."""
    return f" {answer}"


def problem_from_row(row: Any, where: str, default_id: str) -> Problem:
    """Check one row of a data set.

    Raises:
        GiftError: `question` or `answer` is missing or empty, or the answer has no `#### <final answer>`.
    """
    if not isinstance(row, dict):
        raise GiftError(f"{where}: a row must be a JSON object with question and answer")
    for key in ("question", "answer"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise GiftError(f"{where}: the row has no {key}; every row needs a non-empty question and answer")
    answer = row["answer"].strip()
    _, mark, final_answer = answer.rpartition(ANSWER_MARK)
    if not mark or not final_answer.strip():
        raise GiftError(f"{where}: the answer does not end in '#### <final answer>'")
    return Problem(
        id=str(row.get("id", default_id)),
        question=row["question"].strip(),
        answer=answer,
        final_answer=final_answer.strip().replace(",", ""),
    )


def read_problems(path: Path, limit: int | None = None) -> list[Problem]:
    """The first `limit` problems of a JSON Lines file (`.gz` is read too).

    Raises:
        GiftError: the file is missing, empty, not JSON Lines, or a row is not a problem (the line is named).
    """
    problems: list[Problem] = []
    for number, line in enumerate(_lines(path), start=1):
        if limit is not None and len(problems) == limit:
            break
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise GiftError(f"{path}, line {number}: not JSON ({error.msg})") from error
        problems.append(problem_from_row(row, where=f"{path}, line {number}", default_id=f"{path.stem}/{number - 1}"))
    if not problems:
        raise GiftError(f"{path} holds no problems; it needs at least one row")
    return problems


def write_problems(path: Path, problems: Iterable[Problem]) -> None:
    """Write JSON Lines, one problem a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for problem in problems:
            file.write(json.dumps(asdict(problem), ensure_ascii=False) + "\n")


def _lines(path: Path) -> Iterable[str]:

    if not path.is_file():
        raise GiftError(f"data file {path} does not exist")
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            yield from file
    except (gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise GiftError(f"{path} can't be read as UTF-8 text: {error}") from error

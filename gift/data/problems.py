"""The one schema of every data source, and its JSON Lines files.

Demonstrations for SFT, prompts for RL and benchmark problems are all problems. A demonstration needs a worked answer, a
verifiable reward needs a final answer; each may be empty where nothing asks for it.
"""

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gift.data.answers import without_thousands_commas
from gift.errors import GiftError

ANSWER_MARK = "#### "


@dataclass(frozen=True)
class Problem:
    """One question; `answer` is the worked solution, `final_answer` what a reward compares with."""

    id: str
    question: str
    answer: str
    final_answer: str


def prompt_text(question: str, template: str) -> str:
    """What a model is asked: the configuration's `prompt` with the question in it."""
    return template.replace("{question}", question)


def completion_text(answer: str) -> str:
    """What follows the prompt, unless that is a chat; `gift.data.prompts` adds the token that ends it."""
    return f" {answer}"


def problem_from_row(row: Any, where: str, default_id: str) -> Problem:
    """Check one row of a data set: `question`, and `answer` ending in `#### <final answer>` or a `final_answer` apart.

    Raises:
        GiftError: `question` is missing or empty, a value is no text, or nothing says what the final answer is.
    """
    question = text_in(row, "question", where)
    if not question:
        raise GiftError(f"{where}: the row has no question; every row needs a non-empty question")
    answer = text_in(row, "answer", where)
    if "final_answer" in row:
        final_answer = text_in(row, "final_answer", where)
    elif answer:
        final_answer = final_answer_after_mark(answer, where)
    else:
        raise GiftError(f"{where}: the row has no answer; every row needs an answer or a final_answer")
    return Problem(str(row.get("id", default_id)), question, answer, final_answer)


def text_in(row: Any, key: str, where: str) -> str:
    """`row[key]` without white space around it; empty where the key is missing.

    Raises:
        GiftError: the row is no object, or the value is no text.
    """
    if not isinstance(row, dict):
        raise GiftError(f"{where}: a row must be a JSON object with question and answer")
    value = row.get(key, "")
    if not isinstance(value, str):
        raise GiftError(f"{where}: the row has no {key} that is text, but {value!r:.40}")
    return value.strip()


def final_answer_after_mark(answer: str, where: str) -> str:
    """What stands after the last `####`, without thousands commas; the rule of GSM8K.

    Raises:
        GiftError: there is none.
    """
    _, mark, final_answer = answer.rpartition(ANSWER_MARK)
    if not mark or not final_answer.strip():
        raise GiftError(f"{where}: the answer does not end in '#### <final answer>'")
    return without_thousands_commas(final_answer.strip())


def read_problems(path: Path, limit: int | None = None) -> list[Problem]:
    """The first `limit` problems of a JSON Lines file (`.gz` is read too).

    Raises:
        GiftError: the file is missing, empty, not JSON Lines, or a row is not a problem (the line is named).
    """
    problems: list[Problem] = []
    for number, row in read_rows(path):
        if limit is not None and len(problems) == limit:
            break
        problems.append(problem_from_row(row, where=f"{path}, line {number}", default_id=f"{path.stem}/{number - 1}"))
    if not problems:
        raise GiftError(f"{path} holds no problems; it needs at least one row")
    return problems


def write_problems(path: Path, problems: Iterable[Problem]) -> None:
    """Write JSON Lines, one problem a line."""
    write_rows(path, (asdict(problem) for problem in problems))


def read_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """(line number, value) of a JSON Lines file; empty lines are skipped.

    Raises:
        GiftError: the file is missing or not JSON Lines in UTF-8 (the line is named).
    """
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            raise GiftError(f"{path}, line {number}: not JSON ({error.msg})") from error


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _lines(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise GiftError(f"data file {path} does not exist")
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            yield from file
    except (gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise GiftError(f"{path} can't be read as UTF-8 text: {error}") from error

"""The one schema of every data source, and its JSON Lines files.

Demonstrations for SFT, prompts for RL and benchmark problems are all problems. A demonstration needs a worked answer, a
verifiable reward needs a final answer; each may be empty where nothing asks for it.
"""

import gzip
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from gift.errors import GiftError
from gift.judge.answers import without_thousands_commas
from gift.judge.brackets import split_at

ANSWER_MARK = "#### "
LONGEST_ROW = 2**24
"""Bytes of a line: a hundred responses of 32,000 tokens."""
MOST_UNPACKED, SMALL_FILE = 200, 2**26
"""How many times its size a gzip file may unpack to, or few bytes: texts shrink to a tenth, bombs to a thousandth."""
# Without form feeds and their like: one before `rac{1}{2}` is what JSON makes of `\frac{1}{2}`, and must be seen.
_WHITE_SPACE = "\t\r\n" + "".join(sign for sign in map(chr, range(0xA0, 0x3001)) if sign.isspace()) + " "
_NO_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # control characters and line separators
_LINE_BREAK = re.compile(r"[\n\r\u2028\u2029]")
_ESCAPED_SURROGATE = re.compile(r"(?i)\\ud[89a-f]")
_WHAT_IS_READ = "a data file is JSON Lines in UTF-8: each line one JSON object, and no array, CSV or Parquet"


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
        GiftError: `question` is missing or empty, a value is no text, nothing says what the final answer is, or that is
            several lines.
    """
    question, answer = question_in(row, where), answer_in(row, "answer", where)
    if "final_answer" in row:
        final_answer = answer_in(row, "final_answer", where)
    elif answer:
        final_answer = final_answer_after_mark(answer, where)
    else:
        raise GiftError(f"{where}: the row has no answer; every row needs an answer or a final_answer ({_keys(row)})")
    _refuse_lines(final_answer, where)
    return Problem(id_in(row, "id", where, default_id), question, answer, final_answer)


def question_in(row: Any, where: str) -> str:
    """The question that every row of one's own data has.

    Raises:
        GiftError: it is missing, empty or no text.
    """
    question = text_in(row, "question", where)
    if not question:
        raise GiftError(f"{where}: the row has no question; every row needs a non-empty question ({_keys(row)})")
    return question


def answer_in(row: Any, key: str, where: str) -> str:
    """`row[key]` as text; a whole number is its digits, and a fraction has too many ways to be written.

    Raises:
        GiftError: the value is neither.
    """
    value = row.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_in(row, key, where)


def id_in(row: Any, key: str, where: str, default_id: str) -> str:
    """`row[key]`, or `default_id` where the key is missing; ids need not be unique.

    Raises:
        GiftError: the id is neither a number nor one line of text, so that nobody could find it in a message.
    """
    value = row.get(key, default_id)
    is_number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    is_line = isinstance(value, str) and value.strip() != "" and not _NO_LINE.search(value)
    if isinstance(value, bool) or not (is_number or is_line):
        raise GiftError(f"{where}: the {key} must be one line of text or a number, not {shown(value)}; or leave it out")
    return str(value)


def text_in(row: Any, key: str, where: str) -> str:
    """`row[key]` without white space around it; empty where the key is missing.

    Raises:
        GiftError: the value is no text.
    """
    value = row.get(key, "")
    if not isinstance(value, str):
        raise GiftError(f"{where}: the row has no {key} that is text, but {shown(value)}; write it as text")
    return value.strip(_WHITE_SPACE)


def shown(value: object) -> str:
    """A JSON value in a message."""
    match value:
        case None:
            return "null"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return f"{value!r:.40}"


def final_answer_after_mark(answer: str, where: str) -> str:
    """What stands after the last `####`, without thousands commas; the rule of GSM8K.

    Raises:
        GiftError: there is none.
    """
    _, mark, final_answer = answer.rpartition(ANSWER_MARK)
    if not mark or not final_answer.strip():
        raise GiftError(
            f"{where}: the answer does not end in '#### <final answer>'; end it so, or state the final_answer apart"
        )
    return without_thousands_commas(final_answer.strip())


def _refuse_lines(final_answer: str, where: str) -> None:
    """A response states one line; only within brackets, where LaTeX reads a space, may another begin."""
    first, *others = split_at(_LINE_BREAK, final_answer)[0]
    if others:
        raise GiftError(
            f"{where}: the final answer is one line, and after {first!r:.40} another begins; end the answer with its "
            "final answer, or state the final_answer apart, on one line"
        )


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


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, row) of a JSON Lines file; empty lines are skipped.

    Raises:
        GiftError: the file is missing or damaged, or a line is no JSON object in UTF-8 (it is named).
    """
    for number, line in enumerate(_lines(path), start=1):
        where = f"{path}, line {number}"
        text = _decoded(line, where)
        if text.strip():
            yield number, _row(text, where)


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def refuse_unreadable(path: Path, way_out: str) -> None:
    """Raises: GiftError: no file can be opened there."""
    try:
        _opened(path).close()
    except OSError as error:
        raise GiftError(_unreadable(path, error, way_out)) from error


def _lines(path: Path) -> Iterator[bytes]:
    """Only a line feed ends a line: texts hold other line separators of Unicode."""
    try:
        with _opened(path) as file, gzip.open(file) if path.suffix == ".gz" else nullcontext(file) as lines:
            left = max(SMALL_FILE, MOST_UNPACKED * path.stat().st_size)
            while line := lines.readline(LONGEST_ROW + 1):
                left -= len(line)
                if len(line) > LONGEST_ROW:
                    raise GiftError(f"data file {path} has a line of more than {LONGEST_ROW:,} bytes; {_WHAT_IS_READ}")
                if left < 0:
                    raise GiftError(f"data file {path} unpacks to over {MOST_UNPACKED} times its size; unpack it")
                yield line
    except (OSError, EOFError, zlib.error) as error:  # a damaged gzip file raises each of them
        raise GiftError(_unreadable(path, error, "correct the path, or make the file anew")) from error


def _opened(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():  # a pipe would be empty when it is read again
        raise OSError("it is no regular file")
    return path.open("rb")


def _unreadable(path: Path, error: Exception, way_out: str) -> str:
    if isinstance(error, FileNotFoundError):
        return f"data file {path} does not exist; {way_out}"
    return f"data file {path} can't be read ({getattr(error, 'strerror', None) or error}); {way_out}"


def _decoded(line: bytes, where: str) -> str:
    try:
        return line.decode("utf-8-sig")  # Windows begins files with a mark
    except UnicodeDecodeError as error:
        raise GiftError(f"{where}: can't be read as UTF-8 text ({error.reason}); {_WHAT_IS_READ}") from error


def _row(text: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(text, object_pairs_hook=_once)
        if _ESCAPED_SURROGATE.search(text):
            json.dumps(row, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise GiftError(f"{where}: not JSON ({error.msg}); {_WHAT_IS_READ}") from error
    except UnicodeEncodeError as error:
        raise GiftError(
            f"{where}: the row has half a character (a lone surrogate such as \\ud800); remove it"
        ) from error
    except ValueError as error:  # Python reads no longer ones
        raise GiftError(f"{where}: the row has a number of more than 4300 digits; write it as text") from error
    except RecursionError as error:
        raise GiftError(f"{where}: the row is nested too deeply; {_WHAT_IS_READ}") from error
    except _RepeatedKeyError as error:
        raise GiftError(f"{where}: the row has the key {error} twice; remove one") from error
    if not isinstance(row, dict):
        raise GiftError(f"{where}: a row must be a JSON object, not {shown(row)}; {_WHAT_IS_READ}")
    return {key: value for key, value in row.items() if value is not None}  # as tables write what is not there


class _RepeatedKeyError(Exception):
    """A key that is there twice, of which Python takes the last."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise _RepeatedKeyError(next(repr(key) for key, count in counts.items() if count > 1))
    return values


def _keys(row: dict[str, Any]) -> str:
    return f"its keys are {', '.join(row)!r:.100}"

"""Responses that somebody has sampled and scored: the data of DPO and UNA offline, as JSON Lines.

A row has a question with `responses` and their `scores`, or with a `chosen` and a `rejected` response, which count as
scores 1 and 0. `answer` and `final_answer` are optional. Left out: choosing pairs or thinning groups; all of a row's
responses are one group.
"""

import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gift.data.problems import answer_in, id_in, question_in, read_rows, shown, text_in, write_rows
from gift.errors import GiftError


@dataclass(frozen=True)
class ScoredProblem:
    """A question with N ≥ 2 responses and their scores (higher is better)."""

    id: str
    question: str
    answer: str
    final_answer: str
    responses: tuple[str, ...]
    scores: tuple[float, ...]


def read_scored(path: Path) -> list[ScoredProblem]:
    """All rows of a file, in its order.

    Raises:
        GiftError: the file is missing, empty or not JSON Lines, or a row is not as described above (it is named).
    """
    rows = [
        _scored_problem(row, where=f"{path}, line {number}", default_id=f"{path.stem}/{number - 1}")
        for number, row in read_rows(path)
    ]
    if not rows:
        raise GiftError(f"{path} holds no scored problems; it needs at least one row")
    return rows


def write_scored(path: Path, rows: Iterable[ScoredProblem]) -> None:
    """Write JSON Lines in the form `responses` and `scores`."""
    write_rows(path, (asdict(row) for row in rows))


def _scored_problem(row: Any, where: str, default_id: str) -> ScoredProblem:
    question = question_in(row, where)
    responses, scores = _pair(row, where) if "chosen" in row else _group(row, where)
    return ScoredProblem(
        id_in(row, "id", where, default_id),
        question,
        answer_in(row, "answer", where),
        answer_in(row, "final_answer", where),
        responses,
        scores,
    )


def _pair(row: dict[str, Any], where: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    chosen, rejected = text_in(row, "chosen", where), text_in(row, "rejected", where)
    if not chosen or not rejected:
        raise GiftError(f"{where}: a pair needs a non-empty chosen and a non-empty rejected response")
    return (chosen, rejected), (1.0, 0.0)


def _group(row: dict[str, Any], where: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    responses, scores = row.get("responses"), row.get("scores")
    if not isinstance(responses, list) or not isinstance(scores, list):
        raise GiftError(f"{where}: a row needs responses and scores (two lists), or chosen and rejected")
    if len(responses) < 2 or len(responses) != len(scores):
        raise GiftError(
            f"{where}: {len(responses)} responses and {len(scores)} scores; a row needs two or more, and as many scores"
        )
    for response in responses:
        if not isinstance(response, str):
            raise GiftError(f"{where}: a response must be text, not {shown(response)}")
    for score in scores:
        # bool is an int; Python's JSON reader accepts NaN and Infinity, and integers that no float can hold.
        if isinstance(score, bool) or not isinstance(score, int | float) or not abs(score) <= sys.float_info.max:
            raise GiftError(f"{where}: a score must be a finite number, not {shown(score)}")
    return tuple(responses), tuple(float(score) for score in scores)

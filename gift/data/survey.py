"""What one file of your own data holds, and which of its final answers a response can earn; for `gift check data`.

Left out: whatever depends on a profile, such as lengths in tokens and questions that are also held out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gift.data.cleaning import normalised, refuse_control_characters
from gift.data.earnable import heldout_verifier
from gift.data.problems import Problem, read_problems, read_rows
from gift.data.scored import ScoredProblem, read_scored


@dataclass(frozen=True)
class DataSurvey:
    """Counts of rows, and lengths in characters."""

    rows: int
    scored: bool
    """Whether the rows are questions with scored responses."""
    longest_question: int
    longest_answer: int
    """Of a worked answer or a response."""
    worked_answers: int
    final_answers: int
    repeated_questions: int
    repeated_ids: int
    unearnable: dict[str, list[Problem | ScoredProblem]]
    """What is read of a response → the rows whose final answers can't be earned so."""


def survey_file(path: Path) -> DataSurvey:
    """Read all rows; those with responses are scored data.

    Raises:
        GiftError: the file can't be read, or a row is not what it should be (it is named).
    """
    scored = any({"responses", "scores", "chosen", "rejected"} & row.keys() for _, row in read_rows(path))
    rows: Sequence[Problem | ScoredProblem] = read_scored(path) if scored else read_problems(path)
    refuse_control_characters(rows, str(path))
    answered = [row for row in rows if row.final_answer]
    rules = [heldout_verifier(each) for each in ("gsm8k", "boxed", "answer")]
    return DataSurvey(
        rows=len(rows),
        scored=scored,
        longest_question=max(len(row.question) for row in rows),
        longest_answer=max(len(text) for row in rows for text in (row.answer, *getattr(row, "responses", ()))),
        worked_answers=sum(row.answer != "" for row in rows),
        final_answers=len(answered),
        repeated_questions=len(rows) - len({normalised(row.question) for row in rows}),
        repeated_ids=len(rows) - len({row.id for row in rows}),
        unearnable={
            rule.reads: [row for row in answered if not rule.can_be_earned(row.final_answer)] for rule in rules
        },
    )

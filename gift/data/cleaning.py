"""What may be trained on: nothing that is held out, no question twice, none without the answer that is needed.

Two comparisons. `normalised` ignores case and white space, and is right for "the same question". `words` also ignores
every sign between words and numbers, so that a problem in other LaTeX is still found; it is for what must not be in the
training set by any means, where a wrong hit costs one problem.

Left out: paraphrases and translations.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from gift.data.problems import Problem
from gift.data.scored import ScoredProblem
from gift.errors import GiftError

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Question(Protocol):
    """A problem, with or without scored responses."""

    @property
    def id(self) -> str: ...

    @property
    def question(self) -> str: ...


AnyQuestion = TypeVar("AnyQuestion", bound=Question)


def normalised(text: str) -> str:
    """The text without white space, in one case."""
    return "".join(text.split()).casefold()


def words(text: str) -> str:
    """The words and numbers of a text, in one case."""
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def without_heldout(rows: Iterable[AnyQuestion], heldout: Iterable[Problem]) -> tuple[list[AnyQuestion], int]:
    """The rows whose words are those of no held-out problem, and how many were dropped."""
    return _select(rows, _not_among({words(problem.question) for problem in heldout}))


def refuse_heldout(rows: Sequence[Question], heldout: Iterable[Problem], split: str) -> None:
    """A benchmark problem that was trained on makes the report worthless.

    Raises:
        GiftError: a question is also held out.
    """
    taken = {normalised(problem.question) for problem in heldout}
    shared = [row.id for row in rows if normalised(row.question) in taken]
    if shared:
        raise GiftError(f"data: {len(shared)} questions of split {split} are also held out, the first is {shared[0]}")


def refuse_control_characters(rows: Iterable[Problem | ScoredProblem], where: str) -> None:
    r"""JSON reads `\frac` and `\boxed` with one backslash as a form feed or a backspace, and the rest of the word.

    For your own files only: DAPO has such questions.

    Raises:
        GiftError: a text has a control character other than a tab or the end of a line.
    """
    for row in rows:
        for text in (row.question, row.answer, row.final_answer, *getattr(row, "responses", ())):
            if found := _CONTROL.search(text):
                raise GiftError(
                    f"{where}: problem {row.id} has the control character {found.group()!r} before "
                    f"{text[found.end() :][:20]!r}; remove it, or write two backslashes where a LaTeX command begins"
                )


def cleaned(problems: Sequence[Problem], heldout: Sequence[Problem]) -> tuple[list[Problem], dict[str, int]]:
    """The problems to train on, and how many were dropped for which reason.

    A question that comes with different final answers is dropped altogether; of equal ones the first is kept.
    """
    answers: defaultdict[str, set[str]] = defaultdict(set)
    for problem in problems:
        answers[normalised(problem.question)].add(problem.final_answer)
    dropped: Counter[str] = Counter()
    agreed, dropped["conflicting_answers"] = _select(problems, lambda p: len(answers[normalised(p.question)]) == 1)
    seen: set[str] = set()
    unique, dropped["duplicates"] = _select(agreed, lambda p: _is_new(normalised(p.question), seen))
    kept, dropped["heldout"] = without_heldout(unique, heldout)
    return kept, dict(dropped)


def _select(rows: Iterable[AnyQuestion], condition: Callable[[AnyQuestion], bool]) -> tuple[list[AnyQuestion], int]:
    rows = list(rows)
    kept = [row for row in rows if condition(row)]
    return kept, len(rows) - len(kept)


def _not_among(taken: set[str]) -> Callable[[Question], bool]:
    return lambda row: words(row.question) not in taken


def _is_new(key: str, seen: set[str]) -> bool:
    new = key not in seen
    seen.add(key)
    return new

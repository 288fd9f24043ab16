"""What may be trained on or held out: no question twice, none with conflicting answers or a broken LaTeX command.

Left out: what a benchmark asks, too (`gift.data.contamination`).
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from gift.data.problems import Problem
from gift.data.scored import ScoredProblem
from gift.errors import GiftError

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def folded(text: str) -> str:
    """The text in one case and one form of Unicode (NFKC), without invisible characters; `x²` is `x^2`."""
    if text.isascii():
        return text.casefold()
    seen = text.translate({ord(character): _seen(character) for character in set(text)})
    return unicodedata.normalize("NFKC", seen).casefold()


def _seen(character: str) -> str:
    if unicodedata.category(character) == "Cf":
        return ""
    raised = unicodedata.decomposition(character).startswith("<super>")
    return f"^{character}" if raised else character  # NFKC alone makes 52 of 5²


def normalised(text: str) -> str:
    """The text as it is folded, without white space."""
    return "".join(folded(text).split())


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


def cleaned(problems: Sequence[Problem]) -> tuple[list[Problem], dict[str, int]]:
    """The problems to train on or to hold out, and how many were dropped for which reason.

    A question that comes with different final answers is dropped altogether; of equal ones the first is kept.
    """
    answers: defaultdict[str, set[str]] = defaultdict(set)
    for problem in problems:
        answers[normalised(problem.question)].add(problem.final_answer)
    dropped: Counter[str] = Counter()
    agreed, dropped["conflicting_answers"] = _select(problems, lambda p: len(answers[normalised(p.question)]) == 1)
    seen: set[str] = set()
    unique, dropped["duplicates"] = _select(agreed, lambda p: _is_new(normalised(p.question), seen))
    return unique, dict(dropped)


def _select(problems: Sequence[Problem], condition: Callable[[Problem], bool]) -> tuple[list[Problem], int]:
    kept = [problem for problem in problems if condition(problem)]
    return kept, len(problems) - len(kept)


def _is_new(key: str, seen: set[str]) -> bool:
    new = key not in seen
    seen.add(key)
    return new

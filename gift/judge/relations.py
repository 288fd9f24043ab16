r"""Reads `x = 5`, `f(x) = 2x + 1`, `1 < x \le 2`: what is named, what it is said to be, and which interval that is.

Left out: whether the sides of a chain agree, which is for `gift.judge.equality` to decide.
"""

import re
from dataclasses import dataclass

from gift.judge.brackets import split_at
from gift.judge.notation import FUNCTIONS

FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
_OPERATOR = re.compile(r"\\(?:le|ge|ne|in|approx)(?![a-zA-Z])|[<>=]")
_NO_NAME = "|".join(
    rf"{name}(?![a-zA-Z])" for name in (*FUNCTIONS, "pi", "infty", "not", "neg", "lnot", "forall", "exists", "nexists")
)
_WORD = (
    rf"(?:[A-Za-z]+|\\(?!{_NO_NAME})[a-zA-Z]+(?:\s+[A-Za-z])?"
    r"|(?:\\(?:angle|triangle|overline|vec|hat|bar|text|max|min)\s*)+\{?[A-Za-z ]*\}?)"
    r"(?:_\{[^{}]*\})?'*(?:\s*\(\s*[A-Za-z\d](?:\s*,\s*[A-Za-z\d])*\s*\))?"
)
"""`x`, `a_{n}`, `\angle ABC`, `f(x)`, `Area`."""
_NAME = re.compile(
    rf"{_WORD}|\({_WORD}(?:\s*,\s*{_WORD})*\)|\|(?![a-z]\|){_WORD}\||{_WORD}\s*[:/]\s*{_WORD}|\\frac\{{{_WORD}\}}\{{{_WORD}\}}"
)
"""And `(x, y)`, `|AB|`, `a : b`; `|x| = 5` says less than what x is."""


@dataclass(frozen=True)
class Relation:
    """Sides, and the operators between them."""

    sides: tuple[str, ...]
    operators: tuple[str, ...]

    @property
    def name(self) -> str | None:
        """What the others sides are the value of, without spaces; None where the first side is no name."""
        return self.sides[0].replace(" ", "") if self._says_what_is and is_name(self.sides[0]) else None

    @property
    def values(self) -> tuple[str, ...]:
        r"""The sides that must agree for any of them to be the value: `x = 1 + 1 = 2`. What comes after `\approx` need
        not. Empty where nothing is said to be equal, or a single side of no name is left."""
        return self.sides[1 if self.name else 0 : self._exact] if self._says_what_is else ()

    @property
    def approximations(self) -> tuple[str, ...]:
        """The sides that only come close to its values."""
        return self.sides[self._exact :]

    @property
    def _exact(self) -> int:
        """How many sides come before those that are only close, its name among them; `x \\approx 3` says 3."""
        places = (place for place, operator in enumerate(self.operators, 1) if operator == r"\approx")
        return max(next(places, len(self.sides)), 2 if self.name else 1)

    @property
    def _says_what_is(self) -> bool:
        equations = {"=", r"\approx"}
        return set(self.operators) <= equations or (self.operators == (r"\in",) and is_name(self.sides[0]))

    @property
    def variable(self) -> str | None:
        """The first side that is a name."""
        return next((side for side in self.sides if is_name(side)), None)

    @property
    def interval(self) -> str | None:
        r"""`1 < x \le 2` as `(1,2]`; None for relations of other forms."""
        sides, operators = self.sides, self.operators
        if all(operator in (">", r"\ge") for operator in operators):
            sides, operators = sides[::-1], tuple(FLIPPED[operator] for operator in operators[::-1])
        if not all(operator in ("<", r"\le") for operator in operators):
            return None
        left = "(" if operators[0] == "<" else "["
        right = ")" if operators[-1] == "<" else "]"
        match [is_name(side) for side in sides]:
            case [True, False]:
                return rf"(-\infty,{sides[1]}{right}"
            case [False, True]:
                return rf"{left}{sides[0]},\infty)"
            case [False, True, False]:
                return f"{left}{sides[0]},{sides[2]}{right}"
        return None


def is_name(text: str) -> bool:
    """Whether `text` may stand for something that has a value."""
    return _NAME.fullmatch(text) is not None


def read_relation(text: str) -> Relation | None:
    """None where nothing is related to anything."""
    sides, operators = split_at(_OPERATOR, text)
    return Relation(tuple(sides), tuple(operators)) if operators else None

r"""Reads `x = 5`, `5 = x`, `f(x) = 2x + 1`, `1 < x \le 2` and `\{x : x > 1\}`: what is named, what it is said to be,
and which interval that is.

Left out: whether the sides of a chain agree, which is for `gift.judge.equality` to decide.
"""

import re
from dataclasses import dataclass

from gift.judge.brackets import inside_of, split_at
from gift.judge.notation import FUNCTIONS
from gift.judge.words import names_nothing

FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
_OPERATOR = re.compile(r"\\(?:le|ge|ne|in|approx)(?![a-zA-Z])|[<>=]")
_NO_NAME = "|".join(
    rf"{name}(?![a-zA-Z])" for name in (*FUNCTIONS, "pi", "infty", "not", "neg", "lnot", "forall", "exists", "nexists")
)
_WORD = (
    rf"(?:(?:P|Pr|E)\s*(?:\([^()]*\)|\[[^\[\]]*\])|[A-Za-z]+|\\(?!{_NO_NAME})[a-zA-Z]+(?:\s+[A-Za-z])?"
    r"|(?:m\s*)?(?:\\(?:angle|triangle|overline|vec|hat|bar|text|max|min)\s*)+\{?[A-Za-z ]*\}?)"
    r"(?:_\{[^{}]*\})?'*(?:(?:\^\{-1\})?\s*\(\s*[A-Za-z\d](?:\s*,\s*[A-Za-z\d])*\s*\))?"
)
"""`x`, `a_{n}`, `\angle ABC`, `f(x)`, `Area`."""
_NAME = re.compile(
    rf"{_WORD}|\({_WORD}(?:\s*,\s*{_WORD})*\)|\|(?![a-z]\|){_WORD}\||{_WORD}\s*[:/]\s*{_WORD}|\\frac\{{{_WORD}\}}\{{{_WORD}\}}"
)
"""And `(x, y)`, `|AB|`, `a : b`; `|x| = 5` says less than what x is."""
_AND = re.compile(r"(?<![\w\\])and(?!\w)")
_WORDS_OF_A_NAME = re.compile(r"(?<![\\a-zA-Z])(?![A-Z]{2}(?![a-zA-Z]))[a-zA-Z]{2,}")
"""Without commands, variables, and segments such as `NO`."""
_FUNCTION = re.compile(r"[a-zA-Z]\(x\)")
_CONDITION = re.compile(r"\s*([a-zA-Z])\s*(?:\\in\s*\\mathbb\{R\}\s*)?[:|]\s*(.+)", re.DOTALL)


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
    def steps(self) -> tuple[str, ...]:
        """The inequalities between neighbours that a chain of three sides consists of; none of other chains."""
        if len(self.operators) != 2 or not FLIPPED.keys() >= set(self.operators):
            return ()
        return tuple(f"{self.sides[place]} {self.operators[place]} {self.sides[place + 1]}" for place in (0, 1))

    @property
    def members(self) -> str | None:
        r"""The set in which an inequality, or `x \in`, says that a name is."""
        return self.sides[1] if self.operators == (r"\in",) and is_name(self.sides[0]) else self.interval

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
    return _NAME.fullmatch(text) is not None and not names_nothing(_WORDS_OF_A_NAME.findall(text))


def same_name(one: str | None, other: str | None) -> bool:
    """Whether both may name the same thing: `y` and `f(x)` do, and so does whatever has no name."""
    if one is None or other is None or one == other:
        return True
    return "y" in (one, other) and any(map(_FUNCTION.fullmatch, (one, other)))


def read_relation(text: str) -> Relation | None:
    """None where nothing is related to anything."""
    sides, operators = split_at(_OPERATOR, condition_of(text) or text)
    if set(operators) == {"="} and is_name(sides[-1]) and not is_name(sides[0]):
        sides.reverse()  # `5 = x`
    return Relation(tuple(sides), tuple(operators)) if operators else None


def both_bounds(text: str) -> str | None:
    """`2 < x < 5` for `x > 2 and x < 5`; None for other texts."""
    parts, _ = split_at(_AND, text)
    rising = [step for part in parts if (step := _rising(read_relation(part)))]
    if len(parts) != 2 or len(rising) != 2:
        return None
    for (low, first, name), (same, second, high) in (rising, rising[::-1]):
        if name == same and is_name(name):
            return f"{low} {first} {name} {second} {high}"
    return None


def _rising(relation: Relation | None) -> tuple[str, str, str] | None:
    """`2 < x` for `x > 2`; None for what is no inequality of two sides."""
    if relation is None or len(relation.operators) != 1 or relation.operators[0] not in FLIPPED:
        return None
    (left, right), (operator,) = relation.sides, relation.operators
    return (left, operator, right) if operator in ("<", r"\le") else (right, FLIPPED[operator], left)


def condition_of(text: str) -> str | None:
    r"""What holds for the members of a set of real numbers: `x > 1` of `\{x : x > 1\}`; None of other texts."""
    found = _CONDITION.fullmatch(inside_of(text, r"\{", r"\}") or "")
    if found is None:
        return None
    sides, _ = split_at(_OPERATOR, found[2])
    return found[2] if found[1] in sides else None

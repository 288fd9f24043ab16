r"""Compares answers by their shape, part by part: unions, pairs, intervals, sets, matrices, ratios, options and words.

Each function gives None where neither answer has its shape, so that the next may be asked. `same` compares parts.

Left out: lists and relations (`gift.judge.equality`), which may stand for one another.
"""

import re
from collections.abc import Callable, Sequence

from gift.judge.brackets import bracketed, matrix_cells, split_at
from gift.judge.expressions import same_value
from gift.judge.words import changes_a_value

Same = Callable[[str, str], bool]
_UNION = re.compile(r"\\cup(?![a-zA-Z])")
_COLON = re.compile(r"\s*:\s*")
_TIME = re.compile(r"\d{1,2}(?::\d\d){1,2}")
_OPTION = re.compile(
    r"(?:\(([A-E])\)[.:]?\s|\\text\s*\{\s*\(?([A-E])[.):]+\s*\}(?!\s*[\^_!'*/+=])|([A-E])[.):]+\s)\s*(.+)", re.DOTALL
)
_OTHER_OPTION = re.compile(r"\([A-E]\)")
_WORD = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}")
_WORDS = re.compile(r"[^\W\d_](?:[^\W\d_]|[ .,'’-])*")
_DIFFERENCE = re.compile(r"[\s-]+")
_LONGEST_PRODUCT = 3


def same_members(one: Sequence[str], other: Sequence[str], same: Same) -> bool:
    """Whether each has its equal, in any order."""
    if len(one) != len(other):
        return False
    left = list(other)
    for item in one:
        match = next((place for place, candidate in enumerate(left) if same(item, candidate)), None)
        if match is None:
            return False
        del left[match]
    return True


def as_unions(a: str, b: str, same: Same) -> bool | None:
    (one, signs), (other, other_signs) = split_at(_UNION, a), split_at(_UNION, b)
    return same_members(one, other, same) if signs or other_signs else None


def as_brackets(a: str, b: str, same: Same) -> bool | None:
    """Pairs and intervals by their brackets, in order; sets in any order; a set of one may stand for what it holds."""
    one, other = bracketed(a), bracketed(b)
    if one is None and other is None:
        return None
    if one is None or other is None:
        (kind, items), rest = (one, b) if one is not None else (other or ("", []), a)
        return kind == r"\{\}" and len(items) == 1 and same(items[0], rest)
    if one[0] != other[0] or len(one[1]) != len(other[1]):
        return False
    return same_members(one[1], other[1], same) if one[0] == r"\{\}" else all(map(same, one[1], other[1]))


def as_matrices(a: str, b: str, same: Same) -> bool | None:
    """Cell by cell; a single row or column is also the pair or vector of its cells."""
    one, other = matrix_cells(a), matrix_cells(b)
    if one is None and other is None:
        return None
    if one is None or other is None:
        (kind, rows), rest = (one, b) if one is not None else (other or ("", []), a)
        return kind == "" and _is_vector(rows, rest, same)
    if one[0] != other[0] or [len(row) for row in one[1]] != [len(row) for row in other[1]]:
        return False
    cells, other_cells = ([cell for row in rows for cell in row] for _, rows in (one, other))
    return all(map(same, cells, other_cells))


def _is_vector(rows: Sequence[Sequence[str]], text: str, same: Same) -> bool:
    kind, items = bracketed(text) or ("", [])
    cells = rows[0] if len(rows) == 1 else [row[0] for row in rows if len(row) == 1]
    return kind in ("()", "[]") and len(items) == len(cells) >= len(rows) and all(map(same, cells, items))


def as_ratios(a: str, b: str, same: Same) -> bool | None:
    """`10:6` is `5:3` and `5/3`; of two times of the day (`12:30`) each is only itself."""
    (one, signs), (other, other_signs) = split_at(_COLON, a), split_at(_COLON, b)
    if not signs and not other_signs:
        return None
    if signs and other_signs:
        if len(one) != len(other) or (_TIME.fullmatch(a) and _TIME.fullmatch(b)):
            return len(one) == len(other) and all(map(same, one, other))
        return all(
            same_value(rf"\frac{{{left}}}{{{one[-1]}}}", rf"\frac{{{right}}}{{{other[-1]}}}")
            for left, right in zip(one[:-1], other[:-1], strict=True)
        )
    parts, value = (one, b) if signs else (other, a)
    return len(parts) == 2 and same_value(rf"\frac{{{parts[0]}}}{{{parts[1]}}}", value)


def as_options(a: str, b: str, same: Same) -> bool | None:
    """`(A) 5` is the option A, and 5."""
    one, other = _option(a), _option(b)
    if one is None and other is None:
        return None
    if one is not None and other is not None:
        return one[0] == other[0] and same(one[1], other[1])
    (letter, text), rest = (one, b) if one is not None else (other or ("", ""), a)
    return same(letter if re.fullmatch("[A-E]", rest) else text, rest)


def _option(text: str) -> tuple[str, str] | None:
    found = _OPTION.fullmatch(text)
    if found is None or _OTHER_OPTION.search(found[4]) or changes_a_value(_WORD.findall(found[4])):
        return None
    return found[1] or found[2] or found[3], found[4]


def as_words(a: str, b: str, _: Same) -> bool | None:
    one, other = plain_words(a), plain_words(b)
    if one is None or other is None:
        return None if max(len(one or ""), len(other or "")) <= _LONGEST_PRODUCT else False
    return one == other


def plain_words(text: str) -> str | None:
    """`text` in one form if it is words; two letters may be a product, three are read in their order.

    What may be a difference of products is none: `ab-c`, and not `twenty-one`.
    """
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text).strip().removesuffix(".")
    word = " ".join(text.casefold().split())
    if word in ("no", "yes", "dne"):
        return word
    if _WORDS.fullmatch(text) is None or sum(map(str.isalpha, text)) < _LONGEST_PRODUCT:
        return None
    if text.islower() and all(len(piece) == 1 for piece in text.split()):
        return None  # `x y z`
    if "-" in text and all(len(piece) <= _LONGEST_PRODUCT for piece in _DIFFERENCE.split(text)):
        return None
    return text if len(word) == _LONGEST_PRODUCT and text.isupper() else word


SHAPES = (as_unions, as_matrices, as_brackets, as_ratios)

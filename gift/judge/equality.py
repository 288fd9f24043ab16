r"""Whether two final answers are the same: the one rule that rewards and benchmarks share. Runs in worker processes.

    answer, reference ── notation ──> a list? a relation? a union, pair, interval, set, matrix? words? ──> expressions

An answer counts only if all of it is understood. What is left over makes it another answer, never one that matches in
part; texts that are the same are equal whatever they mean. `docs/rewards.md` has the rules in words.

Left out: partial credit, sets given by a property, and proofs.
"""

import re
from collections.abc import Sequence

from gift.judge.brackets import bracketed, closing, inside_of, list_items, matrix_cells, split_at
from gift.judge.expressions import proportional, same_value
from gift.judge.notation import normal
from gift.judge.relations import FLIPPED, Relation, read_relation
from gift.judge.units import split_unit

LONGEST_ANSWER = 2000
"""Characters; what is longer is compared as text."""
_UNION = re.compile(r"\\cup(?![a-zA-Z])")
# A number whose comma parts its digits in threes, where neither brackets nor other commas make a list of it.
_GROUPED = re.compile(r"([^\d,(\[{]*)([1-9]\d{0,2}(?:,\d{3})+(?![\d,]))([^,]*)")
_AND = re.compile(r"(?<![\w\\])and(?!\w)")
_OR = re.compile(r"\s*,?\s*(?<![\w\\])or(?!\w)\s*")
_LONGEST_PRODUCT = 3
_SPACE = re.compile(r"\s*([^\w\s])\s*")
_ABOUT = re.compile(r"(?:[\d.,()+ ^{}-]|\\cdot|\\ldots)+")
_WORDS = re.compile(r"[^\W\d_](?:[^\W\d_]|[ .,'’-])*")


def equal(answer: str, reference: str) -> bool:
    """Whether `answer`, a response's, is `reference`, the problem's. Symmetric.

    Raises:
        Exception: whatever sympy raises on expressions that it can't treat.
    """
    if answer == reference:
        return True
    if max(len(answer), len(reference)) > LONGEST_ANSWER:
        return False
    return _same(normal(answer), normal(reference))


def _same(a: str, b: str) -> bool:
    a, b = _bare(a), _bare(b)
    if not a or not b:
        return False
    if _SPACE.sub(r"\1", a) == _SPACE.sub(r"\1", b):
        return True
    for compare in (_as_alternatives, _as_lists, _as_relations, _as_unions, _as_brackets, _as_matrices, _as_words):
        verdict = compare(a, b)
        if verdict is not None:
            return verdict
    return _as_quantities(a, b)


def _bare(text: str) -> str:
    """Without brackets around all of it that mean nothing, a full stop, and the commas of a large number."""
    before = None
    while text != before:
        before = text
        text = text.strip().removeprefix("=").removesuffix(".").rstrip(" ,;")
        if text.startswith(r"\text{") and closing(text, 5) == len(text) - 1:
            text = text[6:-1]
        for opening, end in (("(", ")"), ("{", "}")):
            inner = inside_of(text, opening, end)
            if inner is not None and len(list_items(inner)) == 1:
                text = inner
            elif inner is not None and opening == "{":
                text = rf"\{{{inner}\}}"
        if grouped := _GROUPED.fullmatch(text):
            text = grouped[1] + grouped[2].replace(",", "") + grouped[3]
    return text


def _as_alternatives(a: str, b: str) -> bool | None:
    """`x < 1 or x > 5` is a union of intervals, and not `x < 1 and x > 5`."""
    one, other = _alternatives(a), _alternatives(b)
    if one is None and other is None:
        return None
    if one is not None and other is not None:
        return _same_items(one, other)
    known, rest = (one, b) if one is not None else (other or [], a)
    parts, signs = split_at(_UNION, rest)
    if signs:
        return _same_items(known, parts)
    return False if split_at(_AND, rest)[1] else None


def _alternatives(text: str) -> list[str] | None:
    parts, signs = split_at(_OR, text)
    relations = [relation for part in parts if (relation := read_relation(part)) and relation.interval]
    alike = len({relation.variable for relation in relations}) == 1 and len(relations) == len(parts)
    return parts if signs and alike else None


def _as_lists(a: str, b: str) -> bool | None:
    one, other = _items(a), _items(b)
    if len(one) == len(other) == 1 or all(_words(item) for item in (*one, *other)):
        return None
    if len({name for item in (*one, *other) if (name := _name(item))}) == 1:
        one, other = _without_their_name(one), _without_their_name(other)
    if len(one) > 1 and len(other) > 1:
        return _same_items(one, other)
    (lone,), items = (one, other) if len(one) == 1 else (other, one)
    kind, held = bracketed(lone) or ("", [])
    if kind == "()" and _are_named(items):
        return len(held) == len(items) and all(map(_same, held, items))
    return kind == r"\{\}" and _same_items(held, items)


def _items(text: str) -> list[str]:
    """The items of a list, as which `(x, y) = (1, 2)` counts."""
    relation = read_relation(text)
    if relation is not None and relation.name and len(relation.values) == 1:
        names, values = bracketed(relation.name), bracketed(relation.values[0])
        if names and values and names[0] == values[0] == "()" and len(names[1]) == len(values[1]):
            return [f"{name} = {value}" for name, value in zip(names[1], values[1], strict=True)]
    return list_items(text)


def _without_their_name(items: list[str]) -> list[str]:
    """`x = 1, x = 2` and `x = 1, 2` are `1, 2`; `x = 1, y = 2` keeps its names."""
    relations = [read_relation(item) for item in items]
    names = {relation.name for relation in relations if relation is not None}
    if len(items) == 1 or relations[0] is None or names != {relations[0].name} or names == {None}:
        return items
    return [
        item if relation is None else (_value(relation) or item)
        for relation, item in zip(relations, items, strict=True)
    ]


def _same_items(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether each has its equal, in any order; items without names may answer named ones only in order."""
    if len(one) != len(other):
        return False
    if _are_named(one) != _are_named(other):
        return all(map(_same, one, other))
    left = list(other)
    for item in one:
        match = next((place for place, candidate in enumerate(left) if _same(item, candidate)), None)
        if match is None:
            return False
        del left[match]
    return True


def _are_named(items: Sequence[str]) -> bool:
    return any(_name(item) is not None for item in items)


def _name(text: str) -> str | None:
    relation = read_relation(text)
    return None if relation is None else relation.name


def _as_relations(a: str, b: str) -> bool | None:
    one, other = read_relation(a), read_relation(b)
    if one is None and other is None:
        return None
    if one is not None and other is not None:
        return _same_relation(one, other)
    relation, rest = (one, b) if one is not None else (other, a)
    value = (_value(relation) or relation.interval) if relation is not None else None
    return value is not None and _same(value, rest)


def _value(relation: Relation) -> str | None:
    """What a chain of equal sides comes to; None where they differ, or only one side of no name is there."""
    first, *others = relation.values or ("",)
    if not first or not (others or relation.name or r"\approx" in relation.operators):
        return None
    if not all(_ABOUT.fullmatch(split_unit(side)[0]) for side in relation.approximations):
        return None
    return first if all(_same(first, other) for other in others) else None


def _same_relation(one: Relation, other: Relation) -> bool:
    values = _value(one), _value(other)
    if values[0] and values[1] and len({one.name, other.name} - {None}) < 2:
        return _same(values[0], values[1])
    if one.interval and other.interval and one.variable == other.variable:
        return _same(one.interval, other.interval)
    alike = one.operators == other.operators and all(map(_same, one.sides, other.sides))
    if alike or len(one.operators) > 1 or len(other.operators) > 1:
        return alike
    # `2x + y = 4` is `y = 4 - 2x`: their differences are the same up to a factor, whose sign turns inequalities round.
    sign = proportional(*(f"({left})-({right})" for left, right in (one.sides, other.sides)))
    operator = other.operators[0] if sign > 0 else FLIPPED.get(other.operators[0], other.operators[0])
    return sign != 0 and one.operators[0] == operator and operator in ("=", r"\ne", *FLIPPED)


def _as_unions(a: str, b: str) -> bool | None:
    (one, signs), (other, other_signs) = split_at(_UNION, a), split_at(_UNION, b)
    return _same_items(one, other) if signs or other_signs else None


def _as_brackets(a: str, b: str) -> bool | None:
    """Pairs and intervals by their brackets, in order; sets in any order; a set of one may stand for what it holds."""
    one, other = bracketed(a), bracketed(b)
    if one is None and other is None:
        return None
    if one is None or other is None:
        (kind, items), rest = (one, b) if one is not None else (other or ("", []), a)
        return kind == r"\{\}" and len(items) == 1 and _same(items[0], rest)
    if one[0] != other[0] or len(one[1]) != len(other[1]):
        return False
    return _same_items(one[1], other[1]) if one[0] == r"\{\}" else all(map(_same, one[1], other[1]))


def _as_matrices(a: str, b: str) -> bool | None:
    one, other = matrix_cells(a), matrix_cells(b)
    if one is None and other is None:
        return None
    if one is None or other is None or one[0] != other[0]:
        return False
    if [len(row) for row in one[1]] != [len(row) for row in other[1]]:
        return False
    cells, other_cells = ([cell for row in rows for cell in row] for _, rows in (one, other))
    return all(map(_same, cells, other_cells))


def _as_words(a: str, b: str) -> bool | None:
    one, other = _words(a), _words(b)
    if one is None or other is None:
        return None if max(len(one or ""), len(other or "")) <= _LONGEST_PRODUCT else False
    return one == other


def _words(text: str) -> str | None:
    """`text` in one form if it is words; two letters may be a product, three are read in their order."""
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", text).strip().removesuffix(".")
    word = " ".join(text.casefold().split())
    if word in ("no", "yes", "dne"):
        return word
    if _WORDS.fullmatch(text) is None or sum(map(str.isalpha, text)) < _LONGEST_PRODUCT:
        return None
    if text.islower() and all(len(piece) == 1 for piece in text.split()):
        return None  # `x y z`
    return text if len(word) == _LONGEST_PRODUCT and text.isupper() else word


def _as_quantities(a: str, b: str) -> bool:
    """Expressions with what they count, which one of both may leave out."""
    (one, unit), (other, other_unit) = split_unit(a), split_unit(b)
    if unit and other_unit and unit != other_unit:
        return False
    if not other_unit and unit == "percent" and _is_percentage(one, other):
        return True
    if not unit and other_unit == "percent" and _is_percentage(other, one):
        return True
    if (one, other) == (a, b):
        return same_value(one, other)
    counted = [value for value, sign in ((one, unit), (other, other_unit)) if sign]
    return not any(split_unit(_bare(value))[1] for value in counted) and _same(one, other)


def _is_percentage(percentage: str, number: str) -> bool:
    """`50` in percent is `0.5`, beside being 50 without its sign."""
    return same_value(rf"\frac{{{percentage}}}{{100}}", number)

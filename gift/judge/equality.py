r"""Whether two final answers are the same: the one rule that rewards and benchmarks share. Runs in worker processes.

    answer, reference ── notation ──> a list? an option? a relation? another shape? words? ──> quantities, expressions

An answer counts only if all of it is understood. What is left over makes it another answer, never one that matches in
part; texts that are the same are equal whatever they mean. `docs/rewards.md` has the rules in words.

Left out: partial credit, sets of integers that a property gives, and proofs.
"""

import re
from collections.abc import Sequence

from gift.judge.brackets import bracketed, closing, inside_of, list_items, split_at, without_grouping
from gift.judge.decimals import is_with_decimal_comma
from gift.judge.expressions import approximates, proportional, same_value
from gift.judge.notation import normal
from gift.judge.quantities import same_quantity
from gift.judge.relations import FLIPPED, Relation, both_bounds, read_relation, same_name
from gift.judge.shapes import SHAPES, Same, as_options, as_words, plain_words, same_members
from gift.judge.units import split_unit

LONGEST_ANSWER = 2000
"""Characters; what is longer is compared as text."""
_UNION = re.compile(r"\\cup(?![a-zA-Z])")
_ALL_REALS = (r"\mathbb{r}", "all real numbers", "all real", "all reals", r"x \in \mathbb{r}")
_AND = re.compile(r"(?<![\w\\])and(?!\w)")
_OR = re.compile(r"\s*,?\s*(?<![\w\\])or(?!\w)\s*")
_SPACE = re.compile(r"\s*([^\w\s])\s*")


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
    if is_with_decimal_comma(a, b) or is_with_decimal_comma(b, a):
        return same_value(a.replace(",", "."), b.replace(",", "."))
    for compare in (_as_alternatives, _as_lists, as_options, _as_relations, *SHAPES, as_words):
        verdict = compare(a, b, _same)
        if verdict is not None:
            return verdict
    return same_quantity(a, b, _same)


def _bare(text: str) -> str:
    """Without brackets around all of it that mean nothing, a full stop, and the commas of a large number."""
    before = None
    while text != before:
        before = text
        text = text.strip().removeprefix("=")
        text = (text if text.endswith("..") else text.removesuffix(".")).rstrip(" ,;")
        if text.startswith(r"\text{") and closing(text, 5) == len(text) - 1:
            text = text[6:-1]
        for opening, end in (("(", ")"), ("{", "}")):
            inner = inside_of(text, opening, end)
            if inner is not None and len(list_items(inner)) == 1:
                text = inner
            elif inner is not None and opening == "{":
                text = rf"\{{{inner}\}}"
        text = without_grouping(text)
    text = both_bounds(text) or text
    return r"(-\infty, \infty)" if text.casefold() in _ALL_REALS else text


def _as_alternatives(a: str, b: str, _: Same) -> bool | None:
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


def _as_lists(a: str, b: str, _: Same) -> bool | None:
    one, other = _items(a), _items(b)
    if len(one) == len(other) == 1 or all(plain_words(item) for item in (*one, *other)):
        return None
    if len({name for item in (*one, *other) if (name := _name(item))}) == 1:
        one, other = _without_their_name(one), _without_their_name(other)
    if len(one) > 1 and len(other) > 1:
        return _same_items(one, other)
    (lone,), items = (one, other) if len(one) == 1 else (other, one)
    relation = read_relation(lone)
    kind, held = bracketed(_bare((relation and _value(relation)) or lone)) or ("", [])
    if kind in ("()", "[]") and _are_named(items):
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
    if _are_named(one) != _are_named(other):
        return len(one) == len(other) and all(map(_same, one, other))
    return same_members(one, other, _same)


def _are_named(items: Sequence[str]) -> bool:
    return any(_name(item) is not None for item in items)


def _name(text: str) -> str | None:
    relation = read_relation(text)
    return None if relation is None or len(list_items(text)) > 1 else relation.name


def _as_relations(a: str, b: str, _: Same) -> bool | None:
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
    if not all(_same(first, other) for other in others):
        return None
    value = split_unit(first)[0]
    return first if all(approximates(split_unit(side)[0], value) for side in relation.approximations) else None


def _same_relation(one: Relation, other: Relation) -> bool:
    values = _value(one), _value(other)
    if values[0] and values[1] and same_name(one.name, other.name):
        return _same(values[0], values[1])
    if one.members and other.members and one.variable == other.variable:
        return _same(one.members, other.members)
    if one.steps and other.steps:
        return _same_items(one.steps, other.steps)
    alike = one.operators == other.operators and all(map(_same, one.sides, other.sides))
    if alike or len(one.operators) > 1 or len(other.operators) > 1:
        return alike
    # `2x + y = 4` is `y = 4 - 2x`: their differences are the same up to a factor, whose sign turns inequalities round.
    sign = proportional(*(f"({left})-({right})" for left, right in (one.sides, other.sides)))
    operator = other.operators[0] if sign > 0 else FLIPPED.get(other.operators[0], other.operators[0])
    return sign != 0 and one.operators[0] == operator and operator in ("=", r"\ne", *FLIPPED)

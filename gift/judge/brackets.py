r"""Splits mathematics, as text, where no bracket encloses it: lists into items, relations into sides.

Brackets of all kinds count alike, as an interval may open with one kind and close with another.
"""

import re

_TOKEN = re.compile(r"\\(?:[a-zA-Z]+|.)|.", re.DOTALL)
_OPENING = frozenset(("(", "[", "{", r"\{", r"\langle", r"\lfloor", r"\lceil"))
_CLOSING = frozenset((")", "]", "}", r"\}", r"\rangle", r"\rfloor", r"\rceil"))
_BETWEEN_ITEMS = re.compile(r"\s*(?:[,;]|(?<![\w\\])(?:and|or)(?!\w))\s*")
_BETWEEN_GROUPS = re.compile(r"\s*(?:;|(?<![\w\\])(?:and|or)(?!\w))\s*")
_COMMA = re.compile(",")
_GROUPED = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_NAMED = re.compile(r"[a-zA-Z](?:_\{[^{}]*\})?\s*=")
_MATRIX = re.compile(r"\\begin\{((?:[pbvBV]|small)?matrix|array)\}(?:\{[lcr|]*\})?(.*)\\end\{\1\}", re.DOTALL)
_PAIRS = (
    *(("(", ")"), ("(", "]"), ("[", "]"), ("[", ")")),
    *((r"\{", r"\}"), (r"\langle", r"\rangle")),
)


def closing(text: str, opening: int, pair: str = "{}") -> int | None:
    """Where the bracket at `opening` closes; escaped ones don't count. None where it doesn't."""
    depth, place = 0, opening
    while place < len(text):
        if text[place] == "\\":
            place += 1
        elif text[place] == pair[0]:
            depth += 1
        elif text[place] == pair[1]:
            depth -= 1
            if depth == 0:
                return place
        place += 1
    return None


def inside_of(text: str, opening: str, end: str) -> str | None:
    """What the brackets enclose if they enclose all of `text`."""
    if not (text.startswith(opening) and text.endswith(end)) or len(text) < len(opening) + len(end):
        return None
    inner = text[len(opening) : -len(end)]
    return inner if all(depth >= 0 for depth in _depths(inner)) else None


def split_at(separator: re.Pattern[str], text: str) -> tuple[list[str], list[str]]:
    """The parts of `text` between separators that no bracket encloses, and those separators."""
    depths = _depths(text)
    found = [match for match in separator.finditer(text) if depths[match.start()] == 0]
    ends = [0, *(match.end() for match in found)]
    starts = [*(match.start() for match in found), len(text)]
    return [text[end:start].strip() for end, start in zip(ends, starts, strict=True)], [
        match.group() for match in found
    ]


def without_grouping(text: str) -> str:
    """`y = 1200x` for `y = 1,200x`, where no comma outside of brackets makes a list."""
    depths = _depths(text)
    grouped = [number for number in _GROUPED.finditer(text) if depths[number.start()] == 0]
    if not grouped or sum(number.group().count(",") for number in grouped) < len(split_at(_COMMA, text)[1]):
        return text
    return _GROUPED.sub(
        lambda number: number.group() if depths[number.start()] else number.group().replace(",", ""), text
    )


def list_items(text: str) -> list[str]:
    r"""The items of `1, 2`, `1; 2`, `1 and 2`, `1, 2, or 3` and `\pm 1`; of anything else, the text itself.

    Those of `x = 1, y = 2; x = 3, y = 4` are lists themselves.
    """
    groups, _ = split_at(_BETWEEN_GROUPS, text)
    named = [[_NAMED.match(part) for part in split_at(_COMMA, group)[0]] for group in groups]
    are_groups = all(len(names) > 1 and all(names) for names in named) and len(groups) > 1
    parts = groups if are_groups else split_at(_BETWEEN_ITEMS, text)[0]
    stated = [part for place, part in enumerate(parts) if part or place == 0]
    return [signed for item in stated for signed in _both_signs(item)]


def bracketed(text: str) -> tuple[str, list[str]] | None:
    """The kind of brackets around all of a text, and the items in them; only a set may hold a single one."""
    for opening, end in _PAIRS:
        inner = inside_of(text, opening, end)
        if inner is None:
            continue
        items = list_items(inner)
        if len(items) > 1 or opening == r"\{":
            return ("()" if opening == r"\langle" else opening + end), items
    return None


def matrix_cells(text: str) -> tuple[str, list[list[str]]] | None:
    """`v` or `V` where a matrix stands for its determinant or norm, and its rows of cells; None for other texts."""
    found = _MATRIX.fullmatch(inside_of(text, "[", "]") or text)
    if found is None:
        return None
    rows = [row.split("&") for row in found.group(2).split(r"\\") if row.strip()]
    return found.group(1)[0] if found.group(1) in ("vmatrix", "Vmatrix") else "", rows


def _depths(text: str) -> list[int]:
    """How many brackets are open after each character."""
    depths, depth = [], 0
    for token in _TOKEN.findall(text):
        depth += (token in _OPENING) - (token in _CLOSING)
        depths += [depth] * len(token)
    return depths


def _both_signs(item: str) -> list[str]:
    """None of a set, which holds both; nor of two signs, which may or may not depend on each other."""
    if max(item.count(r"\pm"), item.count(r"\mp")) != 1 or inside_of(item, r"\{", r"\}") is not None:
        return [item]
    upper = item.replace(r"\pm", "+").replace(r"\mp", "-")
    lower = item.replace(r"\pm", "-").replace(r"\mp", "+")
    return [upper.removeprefix("+").strip(), lower.strip()]

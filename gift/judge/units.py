r"""What a number counts: `10 weeks`, `9\text{ cm}`, `9 m/s`, `\$5`, `50\%`, `90^\circ`.

A unit is what follows a value (or a currency's sign before it) and ends in the name of a unit or in a plural, as a
number counts things: `5 red marbles`. What may stand behind it is listed, too (`5 hours in total`). Every other word
may change the value or take it back (`5 even`, `5 or so`, `5 sixteenths`, `5 false values`), and leaves the answer not
understood; so does a second unit (`5 feet thirteen inches`).

Left out: conversion. `1 m` and `100 cm` differ.
"""

import re
from collections.abc import Sequence

from gift.judge.words import CANONICAL, GOES_ON, TAILS, UNITS, changes_a_value, is_numeral, takes_back

_SYMBOLS = (
    *("cm", "deg", "ft", "hr", "hrs", "kg", "km", "kmh", "kWh", "lb", "lbs", "mg", "mi", "min", "mins", "ml", "mm"),
    *("mph", "oz", "rad", "sec", "secs", "sq", "usd", "yd", "kmph", "Hz", "kPa", "Pa", "mL"),
)
"""Those that may follow a number without a space."""
_POWER = r"(?:\s*\^\{?\d\}?|²|³)?"
_RATE = rf"(?:k?m|cm|mm|mi|k?g|ft|m?[lL])\s*/\s*(?:s|h|hr|min|sec|(?:cm|m|ft|[lL]){_POWER}){_POWER}"
_SHORT = (
    *("a", "all", "am", "an", "bag", "bit", "box", "boy", "bus", "car", "cat", "cu", "cup", "day", "dog", "egg"),
    *("gal", "in", "kid", "men", "of", "old", "pct", "pen", "per", "pm", "pts", "red", "row", "set", "the", "way"),
)
"""Other words of three letters at most may be products, as in `2 xy`."""
_WORD = rf"(?:(?:[A-Za-z]{{4,}}|(?i:{'|'.join((*_SYMBOLS, *_SHORT))})(?![A-Za-z]))\.?{_POWER})"
_TEXT_UNIT = re.compile(rf"(.*?[\d)}}a-z!])\s*((?:\\text\s*\{{[^{{}}]*\}}{_POWER}\s*/?\s*)+)", re.DOTALL)
_PLAIN_UNIT = re.compile(
    rf"(.*?(?:[\d)}}!]|\\pi))((?:\s+{_WORD}(?:\s*/\s*{_WORD})?)+|\s*{_RATE}"
    rf"|(?=[A-Za-z]{{4}}){_WORD}(?:\s+{_WORD})*|\s*(?:{'|'.join(_SYMBOLS)}){_POWER})"
)
_UNIT = re.compile(r"[%$]|(?:/ ?)?[a-z]+(?:\^\d)?(?:(?: ?/ ?|[ -])[a-z]+(?:\^\d)?)*(?: ?/)?")
_TAIL = re.compile(rf"(?: (?:{'|'.join(TAILS)}))+$")
_SIGN_AFTER = re.compile(r"(.*[\d)}])\s*(\\?%|\\?\$|\^\{\\circ\}(?:\s*[CF])?)", re.DOTALL)
_SIGN_BEFORE = re.compile(r"(-?)\s*(\\?\$|\\text\{(?:euro|pound)\})\s*([^$]+)")


def split_unit(text: str) -> tuple[str, str]:
    """(value, unit), the unit in one form for all of its names, and empty where there is none."""
    if found := _SIGN_BEFORE.fullmatch(text):
        value, unit = split_unit(found.group(1) + found.group(3))
        currency = _canonical(found.group(2))
        if unit == "percent":
            return text, ""
        return value, f"{currency}/{unit.removeprefix('per ')}" if unit.startswith("per ") else unit or currency
    if found := _SIGN_AFTER.fullmatch(text):
        return found.group(1), _canonical(found.group(2))
    for pattern in (_TEXT_UNIT, _PLAIN_UNIT):
        found = pattern.fullmatch(text)
        if found and (unit := _canonical(found.group(2))):
            return found.group(1), unit
    return text, ""


def _canonical(text: str) -> str:
    """Empty where the words are no unit."""
    if r"\circ" in text:
        return f"degree {text[-1].casefold()}".removesuffix(" }")
    text = re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text).replace("\\", "").replace("²", "^2").replace("³", "^3")
    text = re.sub(r"[{}]|\.(?=\s|$)", "", text).casefold()
    text = re.sub(r"\s*\^\s*", "^", " ".join(text.split()))
    text = _TAIL.sub("", re.sub(r"\b(?:square|sq) (\w+)", r"\1^2", re.sub(r"\bcubic (\w+)", r"\1^3", text)))
    rate = re.sub(r" ?/ ?| (?:per|an?) ", "/", text.removesuffix("/").strip()).split("/")
    if not _UNIT.fullmatch(text) or not _counts(rate):
        return ""
    whole = "/".join(_name(part) for part in rate)
    return CANONICAL.get(whole, whole)


def _counts(rate: Sequence[str]) -> bool:
    """Whether it ends in the name of a unit or in a plural, before what it is `of`, and no word changes the value."""
    words = [word for part in rate for word in re.findall(r"[a-z]+", part)]
    if changes_a_value(words) or any(map(is_numeral, words)):
        return False
    counted = next(part for part in rate if part).partition(" of ")[0]
    *before, last = counted.split(" ")
    head = last.partition("^")[0]
    if takes_back(re.findall("[a-z]+", " ".join(before)), head):
        return False
    if _begins_another(counted.split(" ")) and _name(counted) not in UNITS:
        return False
    return head in UNITS or _name(head) in UNITS or _is_plural(head)


def _begins_another(words: Sequence[str]) -> bool:
    """Whether a unit ends before the last word: `feet umpteen inches`, not `foot pounds` or `eggs each day`."""
    ends = [word == "feet" or (_is_plural(word) and _name(word) in UNITS) for word in words]
    return any(end and word not in GOES_ON for end, word in zip(ends, words[1:], strict=False))


def _name(part: str) -> str:
    """The one name of a unit, and other words in the singular."""
    words = [_singular(word) for word in part.split(" ")]
    return CANONICAL.get(" ".join(words)) or " ".join(map(_canonical_word, words))


def _canonical_word(word: str) -> str:
    base, _, power = word.partition("^")
    base = CANONICAL.get(base, base)
    return f"{base}^{power}" if power and base != "unit" else base


def _singular(word: str) -> str:
    base, caret, power = word.partition("^")
    return (base if len(base) < 3 or base.endswith(("ss", "us", "is")) else base.removesuffix("s")) + caret + power


def _is_plural(word: str) -> bool:
    return len(word) >= 4 and word.endswith("s") and word[-2] not in "sui"

r"""What a number counts: `10 weeks`, `9\text{ cm}`, `\$5`, `50\%`, `90^\circ`.

A unit is words after a value (or a currency's sign before it). Words that change the value (`5 million`), or say that
it is not the answer (`5 or`), are none.

Left out: conversion. `1 m` and `100 cm` differ.
"""

import re

_SAME = {
    "percent": ("%", "percentage", "pct"),
    "degree": ("°", "deg"),
    "degree c": ("degree celsius", "celsius", "°c"),
    "degree f": ("degree fahrenheit", "fahrenheit", "°f"),
    "dollar": ("$", "usd"),
    "cm": ("centimeter", "centimetre"),
    "mm": ("millimeter", "millimetre"),
    "km": ("kilometer", "kilometre"),
    "m": ("meter", "metre"),
    "in": ("inch", "inche"),
    "ft": ("foot", "feet"),
    "hour": ("hr", "h"),
    "minute": ("min",),
    "second": ("sec", "s"),
    "g": ("gram",),
    "kg": ("kilogram",),
    "l": ("liter", "litre"),
    "mph": ("mile per hour", "miles per hour"),
    "unit": ("square unit", "cubic unit", "sq unit"),
}
_CANONICAL = {alias: unit for unit, aliases in _SAME.items() for alias in aliases}
_PLAIN_UNITS = (
    *("cm", "mm", "km", "kg", "mg", "ml", "ft", "lb", "lbs", "oz", "mi", "hr", "hrs", "min", "mins", "sec", "secs"),
    *("mph", "kmh", "yd", "usd", "sq", "rad", "deg"),
)
# Other words of three letters at most may be products, as in `2 xy`.
_SHORT_WORDS = (
    *("of", "per", "a", "an", "the", "day", "men", "way", "cup", "box", "bag", "bit", "car", "egg", "pen"),
    *(
        *_PLAIN_UNITS,
        "in",
        "pts",
        "cat",
        "dog",
        "boy",
        "kid",
        "row",
        "set",
        "pm",
        "am",
        "pct",
        "cu",
        "gal",
        "old",
        "all",
    ),
)
_NO_UNIT = frozenset(
    (
        *("and", "or", "not", "no", "if", "when", "where", "to", "than", "then", "else", "but", "maybe", "possibly"),
        *("hundred", "thousand", "million", "billion", "trillion", "dozen", "half", "third", "quarter", "score", "k"),
        *("times", "plus", "minus", "over", "divided", "squared", "cubed", "more", "less", "least", "most", "between"),
        *("mod", "modulo", "factorial", "choose", "negative", "positive", "approximately", "about", "wrong"),
        *("incorrect", "is", "are", "isn", "cannot", "never", "for", "with", "root", "remainder", "r", "x", "y", "z"),
        *("above", "almost", "around", "base", "below", "billionth", "binary", "crore", "double", "doubled"),
        *("e", "eight", "eighth", "eleventh", "except", "fifth", "five", "four", "fourth", "gross", "halve"),
        *("halved", "hex", "hexadecimal", "hundredth", "i", "inverse", "lakh", "maximum", "millionth"),
        *("minimum", "nearly", "nine", "ninth", "nor", "octal", "off", "one", "perhaps", "pi", "probably"),
        *("reciprocal", "roughly", "seven", "seventh", "short", "six", "sixth", "ten", "tenth", "thousandth"),
        *("three", "trillionth", "tripled", "twelfth", "twice", "two", "under", "unless", "upto", "versus"),
        *("vs", "without", "xor", "zero"),
    )
)
_ARTICLES = frozenset(("a", "an", "the", "of"))
_POWER = r"(?:\s*\^\{?\d\}?|²|³)?"
_WORD = rf"(?:(?:[A-Za-z]{{4,}}|(?i:{'|'.join(_SHORT_WORDS)})(?![A-Za-z]))\.?{_POWER})"
_TEXT_UNIT = re.compile(rf"(.*?[\d)}}a-z!])\s*((?:\\text\s*\{{[^{{}}]*\}}{_POWER}\s*/?\s*)+)", re.DOTALL)
_PLAIN_UNIT = re.compile(
    rf"(.*?(?:[\d)}}!]|\\pi))((?:\s+{_WORD}(?:\s*/\s*{_WORD})?)+|\s*(?:{'|'.join(_PLAIN_UNITS)}){_POWER})"
)
_UNIT = re.compile(r"[%$]|(?:/ ?)?[a-z]+(?:\^\d)?(?:(?: ?/ ?|[ -])[a-z]+(?:\^\d)?)*(?: ?/)?")
_SIGN_AFTER = re.compile(r"(.*[\d)}])\s*(\\?%|\\?\$|\^\{\\circ\}(?:\s*[CF])?)", re.DOTALL)
_SIGN_BEFORE = re.compile(r"(-?)\s*(\\?\$|\\text\{(?:euro|pound)\})\s*([^$]+)")


def split_unit(text: str) -> tuple[str, str]:
    """(value, unit), the unit in one form for all of its names, and empty where there is none."""
    if found := _SIGN_BEFORE.fullmatch(text):
        value, unit = split_unit(found.group(1) + found.group(3))
        return (text, "") if unit == "percent" else (value, unit or _canonical(found.group(2)))
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
    text = re.sub(r"\b(?:square|sq) (\w+)", r"\1^2", re.sub(r"\bcubic (\w+)", r"\1^3", text))
    words = [_singular(word) for word in text.split(" ")]
    if not _UNIT.fullmatch(text) or _ARTICLES.issuperset(words) or _NO_UNIT & {*re.findall(r"[a-z]+", text), *words}:
        return ""
    whole = " ".join(words)
    return _CANONICAL.get(whole, " ".join(_CANONICAL.get(word, word) for word in words))


def _singular(word: str) -> str:
    base, _, power = word.partition("^")
    base = base if len(base) < 3 or base.endswith("ss") else base.removesuffix("s")
    base = _CANONICAL.get(base, base)
    return f"{base}^{power}" if power else base

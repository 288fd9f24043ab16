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
    *("cm", "deg", "ft", "hr", "hrs", "kg", "km", "kmh", "lb", "lbs", "mg", "mi", "min", "mins", "ml", "mm"),
    *("mph", "oz", "rad", "sec", "secs", "sq", "usd", "yd"),
)
"""Those that may follow a number without a space."""
# Other words of three letters at most may be products, as in `2 xy`.
_SHORT_WORDS = (
    *_PLAIN_UNITS,
    *("a", "all", "am", "an", "bag", "bit", "box", "boy", "car", "cat", "cu", "cup", "day", "dog", "egg"),
    *("gal", "in", "kid", "men", "of", "old", "pct", "pen", "per", "pm", "pts", "row", "set", "the", "way"),
)
# Words that change a value, hedge it, or are values themselves.
_NO_UNIT = frozenset(
    (
        *("about", "above", "almost", "and", "approximately", "are", "around", "base", "below", "between"),
        *("billion", "billionth", "binary", "but", "cannot", "choose", "crore", "cubed", "divided", "double"),
        *("doubled", "dozen", "e", "eight", "eighth", "eleventh", "else", "except", "factorial", "fifth", "five"),
        *("for", "four", "fourth", "gross", "half", "halve", "halved", "hex", "hexadecimal", "hundred"),
        *("hundredth", "i", "if", "incorrect", "inverse", "is", "isn", "k", "lakh", "least", "less", "maximum"),
        *("maybe", "million", "millionth", "minimum", "minus", "mod", "modulo", "more", "most", "nearly"),
        *("negative", "never", "nine", "ninth", "no", "nor", "not", "octal", "off", "one", "or", "over"),
        *("perhaps", "pi", "plus", "positive", "possibly", "probably", "quarter", "r", "reciprocal", "remainder"),
        *("root", "roughly", "score", "seven", "seventh", "short", "six", "sixth", "squared", "ten", "tenth"),
        *("than", "then", "third", "thousand", "thousandth", "three", "times", "to", "trillion", "trillionth"),
        *("tripled", "twelfth", "twice", "two", "under", "unless", "upto", "versus", "vs", "when", "where"),
        *("with", "without", "wrong", "x", "xor", "y", "z", "zero"),
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

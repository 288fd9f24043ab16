"""The words behind a number that are units, that change its value, and that say nothing; in the singular, lower case.

Left out: every other noun. A plural counts as one without a list (`gift.judge.units`).
"""

from collections.abc import Iterable

_SAME = {
    "percent": ("%", "percentage", "pct"),
    "degree": ("°", "deg"),
    "degree c": ("degree celsius", "celsius", "°c"),
    "degree f": ("degree fahrenheit", "fahrenheit", "°f"),
    "dollar": ("$", "usd"),
    "cent": ("penny", "pence"),
    "cm": ("centimeter", "centimetre"),
    "mm": ("millimeter", "millimetre"),
    "km": ("kilometer", "kilometre"),
    "m": ("meter", "metre"),
    "in": ("inch", "inche"),
    "ft": ("foot", "feet"),
    "mi": ("mile",),
    "yd": ("yard",),
    "hour": ("hr", "h"),
    "minute": ("min",),
    "second": ("sec", "s"),
    "g": ("gram",),
    "kg": ("kilogram",),
    "l": ("liter", "litre"),
    "ml": ("milliliter", "millilitre"),
    "lb": ("pound",),
    "oz": ("ounce",),
    "gallon": ("gal",),
    "mi/hour": ("mph",),
    "km/hour": ("kmh", "kmph"),
    "person": ("people",),
}
CANONICAL = {alias: unit for unit, aliases in _SAME.items() for alias in aliases}
UNITS = frozenset(
    (
        *_SAME,
        *CANONICAL,
        *("acre", "amp", "ampere", "box", "boxe", "byte", "calorie", "car", "cat", "century", "child", "children"),
        *("class", "cup", "day", "decade", "deer", "dog", "egg", "euro", "fish", "franc", "geese", "glass"),
        *("hectare", "hertz", "hz", "j", "joule", "kelvin", "kid", "knot", "kpa", "kwh", "man", "men", "mg", "mice"),
        *("milligram", "mole", "month", "n", "newton", "ohm", "pa", "pascal", "peso", "pint", "pt", "quart", "rad"),
        *("radian", "rmb", "ruble", "rupee", "sheep", "solution", "sq", "teeth", "ton", "tonne", "unit", "v"),
        *("value", "volt", "w", "watt", "way", "week", "woman", "women", "year", "yen", "yuan"),
    )
)
TAILS = (
    *("altogether", "apart", "away", "deep", "each", "high", "in all", "in total", "left", "long", "old"),
    *("remaining", "tall", "total", "wide"),
)
"""What may stand behind a unit and says nothing of the value."""
_NO_ADVERBS = frozenset(("family", "jelly", "lily", "july"))
NUMERALS = frozenset(
    (
        *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
        *("hundred", "thousand", "million", "billion", "trillion", "half", "third", "quarter"),
    )
)
NO_UNIT = frozenset(
    (
        *NUMERALS,
        *("about", "above", "almost", "alway", "and", "approximately", "are", "around", "base", "below", "besides"),
        *("between", "billionth", "binary", "but", "cannot", "choose", "crore", "cubed", "divided", "double"),
        *("doubled", "doubtful", "dozen", "e", "eighth", "eleventh", "else", "except", "extra", "factorial", "fewer"),
        *("fifth", "for", "fourth", "from", "gross", "halve", "halved", "hex", "hexadecimal", "hopeful", "hundredth"),
        *("i", "if", "incorrect", "inverse", "is", "isn", "k", "lakh", "last", "least", "less", "likely", "maximum"),
        *("maybe", "millionth", "minimum", "minus", "missing", "mod", "modulo", "modulu", "more", "most", "negative"),
        *("never", "next", "ninth", "no", "nor", "not", "octal", "off", "or", "other", "over", "perhap", "perhaps"),
        *("pi", "plus", "positive", "r", "reciprocal", "remainder", "root", "roughly", "score", "seventh", "short"),
        *("sixth", "sometime", "squared", "tenth", "than", "then", "thousandth", "times", "to", "too", "trillionth"),
        *("tripled", "twelfth", "twice", "under", "unless", "unlike", "upto", "versus", "vs", "was", "when", "where"),
        *("with", "without", "wrong", "x", "xor", "y", "yes", "z"),
    )
)
"""They change a value, hedge it, or are values themselves."""
NO_PLURALS = frozenset(
    (
        *("afterwards", "always", "backwards", "besides", "breaks", "comes", "contradicts", "does", "equals"),
        *("exceeds", "excludes", "exists", "fails", "forwards", "gives", "goes", "happens", "holds", "lacks"),
        *("likewise", "looks", "means", "misses", "needs", "nowadays", "ones", "others", "overseas", "perhaps"),
        *("remains", "requires", "satisfies", "seems", "sometimes", "sorts", "suffices", "towards", "upwards"),
        *("violates", "whereafter", "whereas", "works"),
    )
)
"""Adverbs and verbs with an `s` at their end, which count nothing and may take a value back."""


def changes_a_value(words: Iterable[str]) -> bool:
    """Whether one of them may."""
    known = {word.casefold() for word in words}
    adverbs = (word for word in known if word.endswith("ly") and word not in _NO_ADVERBS)
    changing = known & NO_PLURALS or NO_UNIT & (known | {word.removesuffix("s") for word in known})
    return bool(changing) or any(adverbs)

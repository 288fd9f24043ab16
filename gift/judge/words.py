"""The words behind a number that are units, that change its value, and that say nothing; in the singular, lower case.

Left out: every other noun. A plural counts as one without a list (`gift.judge.units`).
"""

import re
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
GOES_ON = frozenset(("a", "all", "an", "during", "each", "every", "in", "that", "the", "this"))
"""What may stand between a unit and another that belongs to it: `eggs each day`."""
_NO_ADVERBS = frozenset(("family", "jelly", "lily", "july"))
# As they are misspelt, too: `hundreths` and `fourty` are no units.
_CARDINAL = re.compile(
    r"(?:zeroe?|nil|nought|naught|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|half|halve|third"
    r"|(?:thir|four|fif|six|seven|eigh|nine?)te+n|(?:twen|thir|fou?r|fif|six|seven|eigh|nine?)t(?:y|ie)|quarter"
    r"|hundre?d|thousand|milliard|myriad|googol|lakh|lac|crore|mln|mil|bln|bn|tn|[a-z]+illion)+s?"
)
_ORDINAL = re.compile(
    r"[a-z]*(?:zero|four|fi[fv]e?|six|seven|eigh?t?|nine?|te+n|eleven|twel[fv]?e?|t[iy]e?|hun[a-z]*|thou[a-z]*"
    r"|illion|\b[kn])ths?"
)
_DENIALS = frozenset(
    (
        *("about", "above", "almost", "alway", "and", "approximately", "are", "around", "below", "besides", "between"),
        *("but", "cannot", "doubtful", "else", "except", "exists", "for", "forall", "from", "hopeful", "if"),
        *("incorrect", "is", "isn", "likely", "lnot", "maybe", "neg", "never", "nexists", "no", "nor", "not", "off"),
        *("or", "over", "perhap", "perhaps", "roughly", "sometime", "than", "then", "to", "too", "under", "unless"),
        *("unlike", "upto", "versus", "vs", "was", "when", "where", "with", "without", "wrong", "xor", "yes"),
    )
)
"""They deny a value, hedge it, or join it to another; alone they name nothing."""
_CHANGES = frozenset(
    (
        *("base", "binary", "choose", "cubed", "divided", "double", "doubled", "dozen", "e", "extra", "factorial"),
        *("fewer", "gross", "grosse", "halve", "halved", "hex", "hexadecimal", "i", "inverse", "k", "last", "least"),
        *("less", "maximum", "minimum", "minus", "missing", "mod", "modulo", "modulu", "more", "most", "negative"),
        *("next", "octal", "other", "pi", "plus", "positive", "r", "reciprocal", "remainder", "root", "score", "short"),
        *("squared", "times", "tripled", "twice", "x", "y", "z"),
    )
)
"""They change a value, or are values themselves."""
_TAKE_BACKS = frozenset(
    (
        *("abandoned", "absent", "alleged", "another", "anti", "any", "assumed", "barring", "because", "bogus"),
        *("contradictory", "could", "counterfeit", "debunked", "denied", "despite", "disallowed", "discounted"),
        *("disproved", "disproven", "disregarded", "dubious", "either", "erroneous", "excluded", "excluding"),
        *("extraneous", "fabricated", "fake", "false", "faulty", "few", "fictional", "fictitious", "hypothetical"),
        *("ignored", "ignoring", "illusory", "imagined", "impossible", "improbable", "inaccurate", "inadmissible"),
        *("including", "inexact", "infeasible", "invalid", "lacking", "many", "might", "mistaken", "mock"),
        *("must", "neither", "non", "nonexistent", "nonsense", "nonsensical", "notwithstanding", "null", "omitted"),
        *("omitting", "overruled", "phantom", "phony", "pretend", "pretended", "pseudo", "quasi", "questionable"),
        *("refuted", "rejected", "retracted", "revoked", "several", "shall", "sham", "should", "some", "spurious"),
        *("supposed", "though", "unacceptable", "uncertain", "unconfirmed", "unfounded", "unjustified", "unproved"),
        *("unproven", "unreal", "unsatisfactory", "unsound", "unsuitable", "unsure", "untrue", "unverified", "void"),
        *("voided", "withdrawn", "would", "yet"),
    )
)
"""They take back what they are said of; as the text of an option they are an answer."""
_STATED = frozenset(("answer", "candidate", "conclusion", "guess", "result", "solution", "value"))
"""They name the answer itself, so that any word may take it back, but for these:"""
_OF_WHAT_IS_STATED = frozenset(
    (
        *_STATED,
        *("a", "all", "complex", "correct", "different", "distinct", "even", "exact", "final", "in", "integer"),
        *("integral", "irrational", "numeric", "numerical", "odd", "of", "possible", "prime", "rational", "real"),
        *("right", "such", "the", "total", "true", "unique", "valid", "whole"),
    )
)
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


def is_numeral(word: str) -> bool:
    """Whether `word` is a number or a part of one: `Twenty`, `sextillions`, `sixteenth`."""
    return any(pattern.fullmatch(word.casefold()) for pattern in (_CARDINAL, _ORDINAL))


def changes_a_value(words: Iterable[str]) -> bool:
    """Whether one of them may, numerals aside."""
    known = {word.casefold() for word in words}
    singular = {word.removesuffix("s") for word in known}
    return bool(known & NO_PLURALS or (_DENIALS | _CHANGES) & (known | singular)) or any(map(_is_adverb, known))


def takes_back(words: Iterable[str], noun: str) -> bool:
    """Whether one of the words before `noun`, which may be a plural, leaves nothing of it."""
    known = frozenset(words)
    is_stated = not _STATED.isdisjoint((noun, noun.removesuffix("s"), noun.removesuffix("es")))
    return not _TAKE_BACKS.isdisjoint(known) or (is_stated and not known <= _OF_WHAT_IS_STATED)


def names_nothing(words: Iterable[str]) -> bool:
    """Whether none of them may name what has a value: `six`, `not`, `wrong answer`."""
    known = {word.casefold() for word in words} - _STATED
    nothing = _DENIALS | _TAKE_BACKS | NO_PLURALS
    return bool(known) and all(word in nothing or is_numeral(word) or _is_adverb(word) for word in known)


def _is_adverb(word: str) -> bool:
    return word.endswith("ly") and word not in _NO_ADVERBS

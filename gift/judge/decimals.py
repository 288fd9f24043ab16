r"""Numbers as they are written: exact values, and what a decimal with few digits may stand for.

A decimal stands for what rounds (or is cut) to it if it has at least six significant digits: `0.333333` is `1/3`, and
`0.33` is not. From sixteen on it is a number that a computer printed, and those may be off in the last of them.

Left out: everything that needs a parser (`gift.judge.expressions`).
"""

import re
from dataclasses import dataclass
from fractions import Fraction

SIGNIFICANT_DIGITS = 6
_PRINTED_DIGITS = 16
_PRINTED_ERROR = Fraction(1, 10**15)
_NUMBER = re.compile(r"([+-]?)\s*(\d+)(?:\s*/\s*(\d+)|\.(\d*))?")
_FRACTION = re.compile(r"([+-]?)\s*\\frac\{\s*([+-]?\d+)\s*\}\{\s*([+-]?\d+)\s*\}")
_WRITTEN = re.compile(r"([+-]?)\s*(?:(\d*)\.(\d+)|(\d+))(?:\s*(?:\\cdot\s*10\s*\^\{?|[eE])\s*([+-]?\d{1,3})\}?)?")
_COMMA = re.compile(r"([+-]?\s*\d+),(\d+)")
_MIXED_LATEX = re.compile(r"(?<![\d./}^_])(\d+)\s*\\frac\{(\d+)\}\{(\d+)\}(?!\s*[\^!])")
_MIXED_PLAIN = re.compile(r"(?<![\d./}^_])(\d+) (\d+)/(\d+)(?![\d.]|\s*[\^!/])")
_DECIMAL = re.compile(r"(?<![\d.])(?<!\d )(\d*)\.(\d+)(?![\d.]| \d)|(?<![\d.])(\d+)\.(?![\d.\\])")
_REPEATING = re.compile(r"(?<![\d.])(\d*)\.(\d*)\\(?:overline|bar)\s*\{?(\d+)\}?")
_SCIENTIFIC = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)[eE]([+-]?\d+)(?![\w.])")
_POINT = re.compile(r"[+-]?\s*\d*\.\d+")


@dataclass(frozen=True)
class Decimal:
    """A decimal as it stands there, and what its last digit counts."""

    value: Fraction
    unit: Fraction
    digits: int
    """Significant ones."""

    @property
    def is_precise(self) -> bool:
        """Whether it has enough digits to stand for a number that it only comes close to."""
        return self.unit < 1 and self.digits >= SIGNIFICANT_DIGITS

    def is_rounded(self, exact: Fraction) -> bool:
        """Whether `exact` rounds or is cut to it."""
        distance = abs(self.value - exact)
        return distance * 2 <= self.unit or (distance < self.unit and abs(self.value) < abs(exact))

    def is_printed(self, exact: Fraction) -> bool:
        """Whether a computer prints `exact` so, rounding errors included."""
        return self.digits >= _PRINTED_DIGITS and abs(self.value - exact) <= abs(exact) * _PRINTED_ERROR


def read_number(text: str) -> Fraction | None:
    """A number as it is written most often, without the detour of the parser."""
    if found := _NUMBER.fullmatch(text):
        sign, whole, denominator, decimals = found.groups()
        digits = whole + (decimals or "")
        below = int(denominator) if denominator else 10 ** len(decimals or "")
        return Fraction(int(sign + digits), below) if below else None
    if found := _FRACTION.fullmatch(text):
        sign, above, below_text = found.groups()
        value = Fraction(int(above), int(below_text)) if int(below_text) else None
        return -value if value is not None and sign == "-" else value
    return None


def read_decimal(text: str) -> Decimal | None:
    r"""`1.50`, `1.5 \cdot 10^{3}` and `1500`, whose zeros at the end may have been rounded to."""
    found = _WRITTEN.fullmatch(text)
    if found is None:
        return None
    sign, whole, decimals, integer, exponent = found.groups()
    digits = integer.rstrip("0") or "0" if integer else whole + decimals
    unit = Fraction(10) ** ((len(integer) - len(digits) if integer else -len(decimals)) + int(exponent or 0))
    return Decimal(int(f"{sign}{digits}") * unit, unit, len(digits.lstrip("0")))


def is_with_decimal_comma(text: str, other: str) -> bool:
    """Whether the comma of `text` is a decimal one: `0,5` beside `0.5`; `1,500` has its digits in threes."""
    found = _COMMA.fullmatch(text)
    if found is None or _POINT.fullmatch(other) is None:
        return False
    return len(found[2]) != len("000") or found[1].lstrip("+- ").startswith("0") or len(found[1].lstrip("+- ")) > 3


def exact_numbers(text: str) -> str:
    r"""Decimals, powers of ten and mixed numbers as fractions: `1.5` is `(\frac{15}{10})`, `4\frac{1}{2}` `(4+…)`."""
    text = _SCIENTIFIC.sub(r"(\1\\cdot 10^{\2})", text)
    text = _REPEATING.sub(_repeating, text)
    text = _MIXED_LATEX.sub(_mixed, text)
    text = _MIXED_PLAIN.sub(_mixed, text)
    return _DECIMAL.sub(_decimal, text)


def _mixed(found: re.Match[str]) -> str:
    whole, numerator, denominator = found.groups()
    if int(numerator) >= int(denominator):
        return found.group()
    return rf"({whole}+\frac{{{numerator}}}{{{denominator}}})"


def _decimal(found: re.Match[str]) -> str:
    whole, decimals = found.group(1) or found.group(3) or "", found.group(2) or ""
    return rf"(\frac{{{whole + decimals}}}{{1{'0' * len(decimals)}}})"


def _repeating(found: re.Match[str]) -> str:
    whole, fixed, period = found.groups()
    value = Fraction(
        int(whole + fixed + period) - int(whole + fixed or "0"), 10 ** len(fixed + period) - 10 ** len(fixed)
    )
    return rf"(\frac{{{value.numerator}}}{{{value.denominator}}})"

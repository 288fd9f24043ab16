r"""Whether two expressions have the same value, everywhere: math-verify's parser reads them, numbers decide.

Each is read whole or not at all. Numbers are compared exactly; expressions with letters at points of the real line,
to 100 digits, where both are defined. Letters are real; `i` is the imaginary unit, `e` Euler's number.

A decimal stands for what rounds (or is cut) to it if it has at least six significant digits: `0.333333` is `1/3`, and
`0.33` is not.

Left out: proofs, and functions whose rule nobody gave.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy

from gift.judge.notation import FUNCTIONS, exact_numbers

SIGNIFICANT_DIGITS = 6
_DIGITS = 100
_READING = ConversionConfig(lowercase_symbols=False)
_NUMBER = re.compile(r"([+-]?)\s*(\d+)(?:\s*/\s*(\d+)|\.(\d*))?")
_FRACTION = re.compile(r"([+-]?)\s*\\frac\{\s*([+-]?\d+)\s*\}\{\s*([+-]?\d+)\s*\}")
_DECIMAL = re.compile(r"[+-]?\s*(\d*)\.(\d+)")
_COMMANDS = frozenset(
    rf"\{name}"
    for name in (
        *FUNCTIONS,
        *("frac", "binom", "sqrt", "cdot", "pi", "infty", "lfloor", "rfloor", "lceil", "rceil", "sum", "prod", "int"),
        *("circ", "lim", "to"),
    )
)
# Letters of which the parser knows some under other names, or not at all.
_LETTERS = frozenset(
    (
        *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi"),
        *("rho", "sigma", "tau", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Phi", "Psi"),
        *("Sigma", "Omega", "hbar", "ell"),
    )
)
_LETTER = re.compile(r"\\([a-zA-Z]+)(?:_\{([^{}]*)\})?")
_CURRENT = re.compile(r"\\[a-zA-Z]+|_\{[^{}]*\}|I")
_TOKEN = re.compile(r"\\(?:[a-zA-Z]+|.)|[a-zA-Z]+|\d+|.")
_PAIRS = (("(", ")"), ("[", "]"), ("{", "}"))
_PLAIN_CHARACTERS = frozenset("+-/^_!|(){}[]=,<> ")
_LONGEST_PRODUCT_OF_LETTERS = 3
# What the parser takes for something else.
_AMBIGUOUS = re.compile(
    r"\d \d|(?<![\d.])0[A-Za-z]"  # two numbers, another base
    r"|\d\s*_|(?<![A-Za-z]\^)[({]\d+[)}]\s*_|\^\{?\s*(?:T|\*)"  # `(10)_2`, transposed
    r"|\^\{[^{}]*\}\s*\^|!\s*!"  # `2^3^2`, `5!!`
    r"|/\s*d[a-z]|\}\{\s*d\s*[a-z]|^\[[^\[\]]*\]$"  # derivatives, other brackets
    r"|\\(?:sin|cos|tan|cot|sec|csc)(?![a-z]).*\^\{\\circ\}"
)
_EXPONENT = re.compile(r"\^\{?\s*\(?(\d+)\)?(?:\s*\^\s*\{?\s*(\d+))?")
_LARGEST_EXPONENT = 10_000
# Real, irrational to the reader and far from each other; the signs differ from point to point.
_POINTS = tuple(
    tuple(Fraction(sign * (1 + (7919 * (place + 1) * (letter + 3)) % 389), 97) for letter, sign in enumerate(signs))
    for place, signs in enumerate(((1,) * 8, (1,) * 8, (1,) * 8, (-1,) * 8, (1, -1) * 4, (-1, 1) * 4))
)
_POSITIVE_POINTS = 3


def same_value(first: str, second: str) -> bool:
    """Whether two texts in the notation of `gift.judge.notation` are the same number or expression.

    Raises:
        Exception: whatever sympy raises on expressions that it can't treat.
    """
    one, other = _number(first), _number(second)
    if one is not None and other is not None:
        return one == other or _rounds_to(first, other) or _rounds_to(second, one)
    a, b = read(first), read(second)
    if a is None or b is None:
        return False
    return _identical(a, b) or _rounds_to_expression(first, b) or _rounds_to_expression(second, a)


def proportional(first: str, second: str) -> int:
    """The sign of c where `first` = c · `second` for a constant c; 0 where there is none.

    Raises:
        Exception: as in `same_value`.
    """
    a, b = read(first), read(second)
    if a is None or b is None or not (a.free_symbols and a.free_symbols == b.free_symbols):
        return 0
    ratios = [_complex((a / b).subs(point)) for point in _points(a.free_symbols)]
    known = [ratio for ratio in ratios if ratio is not None]
    if len(known) < len(ratios) or any(not _close(ratio, known[0]) for ratio in known) or sympy.im(known[0]) != 0:
        return 0
    return int(sympy.sign(sympy.re(known[0])))


@lru_cache(maxsize=256)
def read(text: str) -> Any:
    """The sympy expression of the whole `text`, or None where a part of it is not understood."""
    text = exact_numbers(text).strip().removeprefix("+")
    if not _is_understood(text):
        return None
    try:
        expression = latex2sympy(_explicit(text), is_real=True, normalization_config=None, conversion_config=_READING)
    except Exception:  # noqa: BLE001 (the parser raises plain exceptions for what it does not know)
        return None
    if not isinstance(expression, sympy.Expr) or expression.has(sympy.zoo, sympy.nan):
        return None
    expression = expression.subs(sympy.Symbol("i", real=True), sympy.I)
    return expression.doit() if expression.has(sympy.Sum, sympy.Product) else expression


def _is_understood(text: str) -> bool:
    """Every token has one meaning, here and for the parser (which reads `3 4` as a sum, and drops the T of `A^T`)."""
    if (
        _AMBIGUOUS.search(text)
        or _is_huge(text)
        or any(text.count(left) != text.count(right) for left, right in _PAIRS)
    ):
        return False
    for token in _TOKEN.findall(re.sub(r"_\{[A-Za-z]+\}", "", text)):
        if token.isdigit():
            continue
        if token[0] == "\\":
            if token not in _COMMANDS and token[1:] not in _LETTERS:
                return False
        elif token.isalpha() and token.isascii():
            if len(token) > _LONGEST_PRODUCT_OF_LETTERS:
                return False
        elif token not in _PLAIN_CHARACTERS:
            return False
    return True


def _is_huge(text: str) -> bool:
    """Whether a power of numbers has more digits than an answer has; writing it out would take for ever."""
    exponents = ((int(base), int(power or 1)) for base, power in _EXPONENT.findall(text))
    return any(power > 20 or base**power > _LARGEST_EXPONENT for base, power in exponents)


def _explicit(text: str) -> str:
    """`1/2x` as half of x, products that look like mixed numbers, and letters that the parser takes for constants."""
    text = re.sub(r"(?<![\d./^}])(\d+)\s*/\s*(\d+)(?=\s*(?:[A-Za-z]|\\[a-z]))", r"\\frac{\1}{\2}", text)
    text = re.sub(r"(?<=[\d)])\s*\(", r"\\cdot (", text)
    text = re.sub(r"(\d)\s*\\(frac|sqrt|binom)", r"\1\\cdot \\\2", text)
    text = re.sub(r"\)\s*(?=\d|\\frac)", r")\\cdot ", text)
    text = re.sub(r"(?<!sqrt)\[([^\[\],]*)\]", r"(\1)", text)
    text = _LETTER.sub(lambda found: f" g_{{{found[1]}{found[2] or ''}}}" if found[1] in _LETTERS else found[0], text)
    text = _CURRENT.sub(lambda found: " g_{I}" if found[0] == "I" else found[0], text)
    return text.replace(r"^{\circ}", "")


def _number(text: str) -> Fraction | None:
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


def _rounds_to(decimal: str, value: Fraction) -> bool:
    """Whether `value` rounds, or is cut, to `decimal`, which has enough digits."""
    found = _DECIMAL.fullmatch(decimal)
    if found is None or len("".join(found.groups()).lstrip("0")) < SIGNIFICANT_DIGITS:
        return False
    scale = 10 ** len(found.group(2))
    written = abs(int(Fraction(decimal.replace(" ", "")) * scale))
    same_sign = decimal.startswith("-") == (value < 0)
    return same_sign and written in (int(abs(value) * scale), int(abs(value) * scale + Fraction(1, 2)))


def _rounds_to_expression(decimal: str, expression: sympy.Expr) -> bool:
    if not _DECIMAL.fullmatch(decimal) or expression.free_symbols or not expression.is_real:
        return False
    value = expression.evalf(_DIGITS + len(decimal))
    return value.is_Float and _rounds_to(decimal, Fraction(str(value)))


def _identical(a: sympy.Expr, b: sympy.Expr) -> bool:
    if a == b:
        return True
    symbols = a.free_symbols | b.free_symbols
    if not symbols:
        return _same_constant(a, b)
    if len(symbols) > len(_POINTS[0]):
        return bool(sympy.simplify(a - b) == 0)
    compared = 0
    for place, point in enumerate(_points(symbols)):
        one, other = _complex(a.subs(point)), _complex(b.subs(point))
        if one is None or other is None:
            if (one is None) != (other is None):
                return False
            continue
        if place >= _POSITIVE_POINTS and not (_is_real(one) and _is_real(other)):
            continue  # `\sqrt{1/n}` is `1/\sqrt{n}`, though their branches differ where n < 0
        if 0 in (one, other) and one != other:
            return bool(sympy.simplify(a - b) == 0)  # the other may be noise
        if not _close(one, other):
            return False
        compared += 1
    return compared > 0


def _same_constant(a: sympy.Expr, b: sympy.Expr) -> bool:
    if a in (sympy.oo, -sympy.oo) or b in (sympy.oo, -sympy.oo):
        return False  # equal ones are gone by now
    if a.is_rational and b.is_rational:
        return bool(a.doit() == b.doit())
    one, other = _complex(a), _complex(b)
    if one is None or other is None:
        return False
    if 0 in (one, other):
        return bool(sympy.simplify(a - b) == 0)
    return _close(one, other)


def _points(symbols: set[sympy.Symbol]) -> list[dict[sympy.Symbol, sympy.Rational]]:
    names = sorted(symbols, key=str)
    return [
        {name: sympy.Rational(value.numerator, value.denominator) for name, value in zip(names, point, strict=False)}
        for point in _POINTS
    ]


def _complex(expression: sympy.Expr) -> sympy.Expr | None:
    """The number that it is; None where it is none, as a sum up to a fraction, on which sympy would recurse."""
    for total in expression.atoms(sympy.Sum, sympy.Product):
        if any(limit.is_integer is False for _, *limits in total.limits for limit in limits):
            return None
    value = expression.doit().evalf(_DIGITS, chop=False)
    parts = value.as_real_imag()
    if not all(part.is_Float or part.is_Rational for part in parts):
        return None
    # A part that is only the noise of the other is none.
    size = max(abs(part) for part in parts)
    real, imaginary = (sympy.S.Zero if abs(part) < size * sympy.Float(10) ** (5 - _DIGITS) else part for part in parts)
    return real + imaginary * sympy.I


def _is_real(value: sympy.Expr) -> bool:
    return bool(sympy.im(value) == 0)


def _close(one: sympy.Expr, other: sympy.Expr) -> bool:
    difference, size = abs(one - other), max(abs(one), abs(other))
    return bool(difference <= size * sympy.Float(10) ** (8 - _DIGITS))

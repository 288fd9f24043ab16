r"""Reads one expression, whole or not at all: math-verify's parser, kept from what it takes for something else.

Letters are real; `i` is the imaginary unit, `e` Euler's number.

Left out: functions whose rule nobody gave, derivatives, and bases other than ten.
"""

import re
from functools import lru_cache
from typing import Any

import sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy

from gift.judge.decimals import exact_numbers
from gift.judge.notation import FUNCTIONS

LONGEST_EXPRESSION = 1000
"""Characters; what is longer is not read."""
_READING = ConversionConfig(lowercase_symbols=False)
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
_TAKEN = re.compile(r"\\[a-zA-Z]+|_\{[^{}]*\}|[Id]")
_TOKEN = re.compile(r"\\(?:[a-zA-Z]+|.)|[a-zA-Z]+|\d+|.")
_PAIRS = (("(", ")"), ("[", "]"), ("{", "}"))
_PLAIN_CHARACTERS = frozenset("+-/^_!|(){}[]=,<> ")
_LONGEST_PRODUCT_OF_LETTERS = 3
# What the parser takes for something else.
_AMBIGUOUS = re.compile(
    r"\d \d|(?<![\d.])0[bBoOxX]"  # two numbers, another base
    r"|\d\s*_|(?<![A-Za-z]\^)[({]\d+[)}]\s*_|\^\{?\s*(?:T|\*)"  # `(10)_2`, transposed
    r"|\^\{[^{}]*\}\s*\^|!\s*!"  # `2^3^2`, `5!!`
    r"|/\s*d[a-z]|\}\{\s*d\s*[a-z]|^\[[^\[\]]*\]$"  # derivatives, other brackets
    r"|\\(?:sin|cos|tan|cot|sec|csc)(?![a-z]).*\^\{\\circ\}"
)
_MOST_BARS = 8
"""Which of many bars open is not known, and the parser tries all ways."""
_EXPONENT = re.compile(r"\^\{?\s*\(?(\d+)\)?(?:\s*\^\s*\{?\s*(\d+))?")
_FACTORIAL = re.compile(r"(\d+)[\s)}]*!|\\binom\{\s*(\d+)")
_LARGEST_EXPONENT = 10_000


@lru_cache(maxsize=256)
def read(text: str) -> Any:
    """The sympy expression of the whole `text`, or None where a part of it is not understood."""
    text = exact_numbers(text).strip().removeprefix("+") if len(text) <= LONGEST_EXPRESSION else ""
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
        or text.count("|") > _MOST_BARS
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
    """Whether a power or a factorial has more digits than an answer has; writing it out would take for ever."""
    if any(len(above or below) > len("1000") for above, below in _FACTORIAL.findall(text)):
        return True
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
    if r"\int" not in text:
        text = _TAKEN.sub(lambda found: f" g_{{{found[0]}}}" if found[0] in ("I", "d") else found[0], text)
    return text.replace(r"^{\circ}", "")

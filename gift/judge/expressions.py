r"""Whether two expressions have the same value, everywhere.

Numbers are compared exactly; expressions with letters at points of the real line, to 100 digits, where both are
defined. The points lie near zero and far from it, on both sides and beyond the numbers that are written there, as
`|x-6|` is `6-x` for a while.

Left out: proofs.
"""

from collections.abc import Iterator
from fractions import Fraction

import sympy
from sympy.functions.elementary.hyperbolic import HyperbolicFunction

from gift.judge.decimals import read_decimal, read_number
from gift.judge.reading import read

_DIGITS = 100
_LETTERS = 8
# Real, irrational to the reader and far from each other; the signs differ from point to point.
_NEAR_POINTS = tuple(
    tuple(Fraction(sign * (1 + (7919 * (place + 1) * (letter + 3)) % 389), 97) for letter, sign in enumerate(signs))
    for place, signs in enumerate(((1,) * 8, (1,) * 8, (1,) * 8, (-1,) * 8, (1, -1) * 4, (-1, 1) * 4))
)
_POSITIVE_POINTS = 3
_MAGNITUDES = (0, 7, 31)
_FAR, _FARTHEST = 1000, 10**12
_LARGEST_EXPONENT = 100
"""With letters; beyond it what cancels is lost, and powers of powers are not to be written out."""
_AS_LARGE_AS_POWERS = (sympy.factorial, sympy.gamma, sympy.binomial, HyperbolicFunction)


def same_value(first: str, second: str) -> bool:
    """Whether two texts in the notation of `gift.judge.notation` are the same number or expression.

    Raises:
        Exception: whatever sympy raises on expressions that it can't treat.
    """
    one, other = read_number(first), read_number(second)
    if one is not None and other is not None:
        return one == other or _rounds_to(first, second, other) or _rounds_to(second, first, one)
    a, b = read(first), read(second)
    if a is None or b is None:
        return False
    return _identical(a, b) or _rounds_to_expression(first, b) or _rounds_to_expression(second, a)


def approximates(text: str, exact: str) -> bool:
    """Whether `text` is a number that is `exact`, or to which it rounds, or not further off than a hundredth of it.

    Raises:
        Exception: as in `same_value`.
    """
    if same_value(text, exact):
        return True
    written, expression = read_decimal(text), read(exact)
    value = None if written is None or expression is None else _real(expression, _DIGITS + len(text))
    if written is None or value is None:
        return False
    return written.is_rounded(value) or abs(written.value - value) * 100 <= abs(value)


def proportional(first: str, second: str) -> int:
    """The sign of c where `first` = c · `second` for a constant c; 0 where there is none.

    Raises:
        Exception: as in `same_value`.
    """
    a, b = read(first), read(second)
    if a is None or b is None or not (a.free_symbols and b.free_symbols):
        return 0
    if len(a.free_symbols | b.free_symbols) > _LETTERS:
        return 0
    values = list(_values(a, b))
    known = [(one, other) for one, other in values if one is not None and other is not None and other != 0]
    if len(known) < len(values) or all(_close(one, known[0][0]) for one, _ in known):
        return 0  # or a statement of no letters, which is true or false
    ratios = [one / other for one, other in known]
    if any(not _close(ratio, ratios[0]) for ratio in ratios) or sympy.im(ratios[0]) != 0:
        return 0
    return int(sympy.sign(sympy.re(ratios[0])))


def _rounds_to(text: str, other: str, exact: Fraction) -> bool:
    written = read_decimal(text)
    if written is None or not written.is_precise:
        return False
    return written.is_rounded(exact) or (read_decimal(other) is None and written.is_printed(exact))


def _rounds_to_expression(text: str, expression: sympy.Expr) -> bool:
    written = read_decimal(text)
    if written is None or not written.is_precise:
        return False
    exact = _real(expression, _DIGITS + len(text))
    return exact is not None and (written.is_rounded(exact) or written.is_printed(exact))


def _real(expression: sympy.Expr, digits: int) -> Fraction | None:
    if expression.free_symbols or not expression.is_real:
        return None
    value = expression.evalf(digits)
    return Fraction(str(value)) if value.is_Float or value.is_Rational else None


def _identical(a: sympy.Expr, b: sympy.Expr) -> bool:
    if a == b:
        return True
    symbols = a.free_symbols | b.free_symbols
    if not symbols:
        return _same_constant(a, b)
    if len(symbols) > _LETTERS:
        return bool(sympy.simplify(a - b) == 0)
    compared = 0
    for one, other in _values(a, b):
        if one is None or other is None:
            if (one is None) != (other is None):
                return False
            continue
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


def _values(a: sympy.Expr, b: sympy.Expr) -> Iterator[tuple[sympy.Expr | None, sympy.Expr | None]]:
    """Both at every point where both are real or no number, and at the first ones whatever they are."""
    symbols = sorted(a.free_symbols | b.free_symbols, key=str)
    limits = [*_limits(a), *_limits(b)]
    for place, values in enumerate((*_NEAR_POINTS, *_far_points(_far_from(a, b)))):
        point = {symbol: sympy.Rational(value) for symbol, value in zip(symbols, values, strict=False)}
        if place >= len(_NEAR_POINTS) and not all(_is_within(*limit, point) for limit in limits):
            continue
        one, other = _complex(a.subs(point)), _complex(b.subs(point))
        if place >= _POSITIVE_POINTS and not all(value is None or _is_real(value) for value in (one, other)):
            continue  # `\sqrt{1/n}` is `1/\sqrt{n}`, though their branches differ where n < 0
        yield one, other


def _far_from(*expressions: sympy.Expr) -> int:
    """Ten times as far from zero as any number of moderate size that is written in them."""
    numbers = [max(abs(int(number.p)), int(number.q)) for each in expressions for number in each.atoms(sympy.Rational)]
    return 10 * max(number for number in (_FAR // 10, *numbers) if number <= _FARTHEST)


def _far_points(far: int) -> list[tuple[Fraction, ...]]:
    """Every magnitude with both signs; each letter has another at the same point."""
    magnitudes = (*_MAGNITUDES, far)
    return [
        tuple(
            sign
            * (-1) ** (place * letter)
            # Small denominators, as sympy takes long for powers with others.
            * (magnitudes[(place + letter) % len(magnitudes)] + Fraction(1, 97 + 2 * letter))
            for letter in range(_LETTERS)
        )
        for sign in (1, -1)
        for place in range(len(magnitudes))
    ]


def _limits(expression: sympy.Expr) -> Iterator[tuple[sympy.Expr, sympy.Expr]]:
    """(what must not be negative, what must not be large) of its roots, logarithms, powers and factorials, from inside
    to outside."""
    for part in sympy.postorder_traversal(expression):
        if isinstance(part, sympy.log):
            yield part.args[0], sympy.S.Zero
        elif isinstance(part, _AS_LARGE_AS_POWERS):
            yield sympy.S.Zero, part.args[0]
        elif isinstance(part, (sympy.Pow, sympy.exp)) and part.free_symbols and not part.exp.is_Integer:
            # sympy factors what a letter to a letter becomes, which takes long from a tenth of that size on.
            yield part.base, part.exp * 10 if part.base.free_symbols and part.exp.free_symbols else part.exp


def _is_within(base: sympy.Expr, exponent: sympy.Expr, point: dict[sympy.Symbol, sympy.Rational]) -> bool:
    size = _complex(exponent.subs(point))
    if size is None or abs(size) > _LARGEST_EXPONENT:
        return False
    value = _complex(base.subs(point))
    return value is not None and not (_is_real(value) and sympy.re(value) < 0)


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

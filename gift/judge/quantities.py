r"""Compares numbers with what they count, and percentages and angles with bare numbers.

Left out: conversion of other units.
"""

from collections.abc import Callable

from gift.judge.expressions import same_value
from gift.judge.units import split_unit


def same_quantity(a: str, b: str, same: Callable[[str, str], bool]) -> bool:
    """Expressions with what they count, which one of both may leave out."""
    (one, unit), (other, other_unit) = split_unit(a), split_unit(b)
    if unit and other_unit and unit != other_unit:
        return False
    if not other_unit and unit == "percent" and _is_percentage(one, other):
        return True
    if not unit and other_unit == "percent" and _is_percentage(other, one):
        return True
    if unit != other_unit and "degree" in (unit, other_unit) and _is_angle(*((one, b) if unit else (other, a))):
        return True
    if (one, other) == (a, b):
        return same_value(one, other)
    counted = [value for value, sign in ((one, unit), (other, other_unit)) if sign]
    return not any(split_unit(value.strip())[1] for value in counted) and same(one, other)


def _is_percentage(percentage: str, number: str) -> bool:
    """`50` in percent is `0.5`, beside being 50 without its sign."""
    return same_value(rf"\frac{{{percentage}}}{{100}}", number)


def _is_angle(degrees: str, radians: str) -> bool:
    r"""`90^\circ` is `\pi/2`, beside being 90 without its sign."""
    return same_value(rf"\frac{{{degrees}\pi}}{{180}}", radians)

"""Arithmetic that nobody has seen: expressions drawn from a seed, for models that may know the public benchmarks.

    Compute ((47 - 12) * 8) + (96 / 4).

Problem i has 1 + i mod `steps` operations; every intermediate result is a whole number from 0 to 9,999. After
RandomCalculation of Wu et al. 2025 (arXiv 2507.10532), where a model that completes more than half of MATH-500 by heart
has nothing to remember.

Left out: fractions, powers and words; `gift.data.arithmetic` has words, for models as small as its tables.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gift.data.problems import Problem
from gift.errors import GiftError

LARGEST = 9_999
"""Result, of the whole and of each part."""
NUMBERS = range(2, 100)
MAX_REJECTIONS = 1_000
"""In a row: no problem of this length is left."""

_RESULTS: Mapping[str, Callable[[int, int], int]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left // right,
}


@dataclass(frozen=True)
class Expression:
    """A part of a problem and its value."""

    text: str
    value: int
    whole: bool
    """It needs no brackets, wherever it stands."""


def fresh_problems(seed: int, count: int, steps: int) -> list[Problem]:
    """`count` different problems; the first ones are the same whatever the count.

    Raises:
        GiftError: there are not so many.
    """
    rng = random.Random(f"fresh/{seed}")
    problems: dict[str, Problem] = {}
    rejections = 0
    while len(problems) < count:
        expression = _expression(rng, 1 + len(problems) % steps)
        question = f"Compute {expression.text}."
        if question in problems:
            rejections += 1
            if rejections > MAX_REJECTIONS:
                raise GiftError(f"evaluation.fresh: only {len(problems)} of {count} problems exist; raise its steps")
            continue
        rejections = 0
        name = f"fresh-{seed}-{len(problems):05d}"
        problems[question] = Problem(name, question, "", str(expression.value))
    return list(problems.values())


def _expression(rng: random.Random, steps: int) -> Expression:
    if steps == 0:
        value = rng.choice(NUMBERS)
        return Expression(str(value), value, whole=True)
    while True:
        before = rng.randrange(steps)
        left, right = _expression(rng, before), _expression(rng, steps - 1 - before)
        if possible := _operations(left.value, right.value):
            operation = rng.choice(possible)
            value = _RESULTS[operation](left.value, right.value)
            return Expression(f"{_bracketed(left)} {operation} {_bracketed(right)}", value, whole=False)


def _operations(left: int, right: int) -> list[str]:
    """Those whose result is a whole number in range."""
    found = ["+"] if left + right <= LARGEST else []
    found += ["-"] if left >= right else []
    found += ["*"] if left * right <= LARGEST else []
    return found + (["/"] if right > 1 and left % right == 0 else [])


def _bracketed(part: Expression) -> str:
    return part.text if part.whole else f"({part.text})"

"""The one interface of all rewards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gift.data.problems import Problem


@dataclass(frozen=True)
class Response:
    """What the policy answered to a problem; `tokens` is its length in tokens of the policy."""

    text: str
    problem: Problem
    tokens: int


Reward = Callable[[Sequence[Response]], Sequence[object]]
"""Responses → one value each: a number, None where the reward does not apply to the problem, or `UNJUDGED`.

Whether a number is finite is for the scorer to check, because own functions and models may return anything.
"""


class Unjudged(Enum):
    """Instead of a value: the reward could not judge (a time-out, a crash), which is no wrong answer."""

    UNJUDGED = "unjudged"


UNJUDGED: Final = Unjudged.UNJUDGED

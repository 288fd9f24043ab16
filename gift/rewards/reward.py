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


@dataclass(frozen=True)
class Reward:
    """An opened reward."""

    values: Callable[[Sequence[Response]], Sequence[object]]
    """Responses → one value each: a number, None where the reward does not apply to the problem, or `UNJUDGED`.

    Whether a number is finite is for the scorer to check, because own functions and models may return anything.
    """
    begin: Callable[[Response], None] | None = None
    """Takes a response whose value will be asked for, and returns at once, as other processes work on it. None for a
    reward that computes in this process, or on the device that samples."""


class Unjudged(Enum):
    """Instead of a value: the reward could not judge (a time-out, a crash), which is no wrong answer."""

    UNJUDGED = "unjudged"


UNJUDGED: Final = Unjudged.UNJUDGED

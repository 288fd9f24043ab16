"""The `function` reward: your own `(completion, problem) -> float | None` by import path, in worker processes.

None says that it does not apply to the problem. A time-out or a crash is an error that is counted; an exception is a
bug of the function, and stops the run, as does what is no finite number.

Left out: functions that want whole groups, or the model.
"""

import importlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, SupportsFloat

from gift.config import FunctionReward
from gift.data.problems import Problem
from gift.errors import GiftError
from gift.rewards.reward import UNJUDGED, Response, Reward
from gift.workers.pool import TimeLimit, WorkerPool

LONGEST_VALUE = 200
"""Characters of a value that is no number, as they are shown."""


@contextmanager
def open_function_reward(config: FunctionReward) -> Iterator[Reward]:
    """Raises: GiftError: the import path names nothing callable."""
    program = ["gift.rewards.function:own_function", config.function]
    with WorkerPool(f"reward {config.function}", program, config.workers, TimeLimit(config.time_limit)) as pool:
        pool.warm_up()
        begun: dict[Response, deque[int]] = defaultdict(deque)
        yield Reward(
            values=lambda responses: _values(responses, config.function, pool, begun),
            begin=lambda response: begun[response].append(pool.begin(_task(response))),
        )


def own_function(import_path: str) -> Callable[[str, dict[str, Any]], float | str | None]:
    """What a worker runs: the function's value as a float, None, or as text if it is neither.

    Raises:
        TypeError: the name is of something else than a function.
    """
    module, _, name = import_path.partition(":")
    function = getattr(importlib.import_module(module), name)
    if not callable(function):
        raise TypeError(f"{name} is not callable")

    def judge(completion: str, problem: dict[str, Any]) -> float | str | None:
        value = function(completion, Problem(**problem))
        if value is None:
            return None
        return float(value) if isinstance(value, SupportsFloat) else repr(value)[:LONGEST_VALUE]

    return judge


def _values(
    responses: Sequence[Response], function: str, pool: WorkerPool, begun: dict[Response, deque[int]]
) -> list[object]:
    """What the function returned.

    Args:
        begun: tickets of the pool for responses that it has been given; all are taken out.

    Raises:
        GiftError: the function raised an exception.
    """
    tickets = [begun[row].popleft() if begun[row] else pool.begin(_task(row)) for row in responses]
    begun.clear()
    outcomes = pool.outcomes(tickets)
    for response, outcome in zip(responses, outcomes, strict=True):
        if outcome.exception:
            raise GiftError(f"reward {function} raised {outcome.exception} for problem {response.problem.id}")
    return [UNJUDGED if outcome.lost else outcome.value for outcome in outcomes]


def _task(response: Response) -> tuple[str, dict[str, str]]:
    return response.text, asdict(response.problem)

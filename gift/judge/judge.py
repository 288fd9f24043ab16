"""Judges whole batches of responses: finds their final answers, and has them compared in worker processes.

Equal texts need no worker, and each pair is compared once, as the responses of a group often agree. The limit is one of
processor time, so that a busy machine changes no verdict; what it cut off is tried once more, alone. Comparisons may
begin while responses are still sampled.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from gift.config import AnswerFormat
from gift.judge.answers import clean_answer, final_answer
from gift.workers.pool import Outcome, TimeLimit, WorkerPool

Pair = tuple[str | None, str]
"""The final answer of a response, if it has one, and that of its problem, as `gift.judge.equality` compares them."""


class Judge:
    """Finds answers and asks a pool of workers about those that differ from their reference as texts."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._begun: dict[Pair, int] = {}

    def start(self) -> None:
        """Start the workers, which takes seconds, while something else is done."""
        self._pool.start()

    def begin(self, response: str, reference: str, formats: Sequence[AnswerFormat]) -> None:
        """Have a worker start on what `verdicts` will be asked about; returns at once."""
        self._begin(_pair(response, reference, formats))

    def verdicts(self, responses: Sequence[tuple[str, str]], formats: Sequence[AnswerFormat]) -> list[bool | None]:
        """B responses and their problems' final answers → B verdicts: right, wrong (or no answer), None: unjudged."""
        pairs = [_pair(*row, formats) for row in responses]
        for pair in pairs:
            self._begin(pair)
        tickets, self._begun = self._begun, {}
        outcomes = dict(zip(tickets, self._pool.outcomes(list(tickets.values())), strict=True))
        lost = [pair for pair, outcome in outcomes.items() if outcome.lost]
        for pair in lost if len(outcomes) > 1 else ():  # the only one was alone
            outcomes[pair] = self._pool.run([pair])[0]
        return [_verdict(pair, outcomes.get(pair)) for pair in pairs]

    def _begin(self, pair: Pair) -> None:
        answer, reference = pair
        if answer not in (None, reference) and pair not in self._begun:
            self._begun[pair] = self._pool.begin(pair)


@contextmanager
def open_judge(workers: int, time_limit: float) -> Iterator[Judge]:
    """The judge; workers start with the first pair that needs one, and are gone when the context ends.

    Args:
        workers: processes at most.
        time_limit: seconds of processor time per comparison.
    """
    limit = TimeLimit(time_limit, of_processor=True)
    with WorkerPool("the judge of answers", ["gift.judge.judge:comparison"], workers, limit) as pool:
        yield Judge(pool)


def comparison() -> Callable[[str, str], bool]:
    """What a worker runs, its tables loaded."""
    from gift.judge.equality import equal

    equal(r"\sqrt{4x}", r"2\sqrt{x}")
    return equal


def _pair(response: str, reference: str, formats: Sequence[AnswerFormat]) -> Pair:
    return final_answer(response, formats), clean_answer(reference)


def _verdict(pair: Pair, outcome: Outcome | None) -> bool | None:
    """`outcome` is None for a pair that no worker was asked about."""
    answer, reference = pair
    if outcome is None:
        return answer == reference
    return None if outcome.failed else bool(outcome.value)

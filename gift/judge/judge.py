"""Judges whole batches of responses: finds their final answers, and has them compared in worker processes.

Equal texts need no worker, and each pair is compared once, as the responses of a group often agree. The limit is one of
processor time, so that a busy machine changes no verdict; what it cut off is tried once more, alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from gift.config import AnswerFormat
from gift.judge.answers import clean_answer, final_answer
from gift.workers.pool import TimeLimit, WorkerPool

Judge = Callable[[Sequence[tuple[str, str]], Sequence[AnswerFormat]], list[bool | None]]
"""(response, the problem's final answer) × B and formats → B verdicts: right, wrong (or no answer), None: unjudged."""


@contextmanager
def open_judge(workers: int, time_limit: float) -> Iterator[Judge]:
    """The judge; workers start with the first pair that needs one, and are gone when the context ends.

    Args:
        workers: processes at most.
        time_limit: seconds of processor time per comparison.
    """
    limit = TimeLimit(time_limit, of_processor=True)
    with WorkerPool("the judge of answers", ["gift.judge.judge:comparison"], workers, limit) as pool:
        yield lambda responses, formats: _verdicts(pool, responses, formats)


def comparison() -> Callable[[str, str], bool]:
    """What a worker runs, its tables loaded."""
    from gift.judge.equality import equal

    equal(r"\sqrt{4x}", r"2\sqrt{x}")
    return equal


def _verdicts(
    pool: WorkerPool, responses: Sequence[tuple[str, str]], formats: Sequence[AnswerFormat]
) -> list[bool | None]:
    pairs = [(final_answer(text, formats), clean_answer(reference)) for text, reference in responses]
    asked = list(dict.fromkeys(pair for pair in pairs if None not in pair and pair[0] != pair[1]))
    outcomes = dict(zip(asked, pool.run(asked), strict=True))
    for pair in [pair for pair, outcome in outcomes.items() if outcome.lost]:
        outcomes[pair] = pool.run([pair])[0]

    def verdict(answer: str | None, reference: str) -> bool | None:
        if answer is None or answer == reference:
            return answer is not None
        outcome = outcomes[answer, reference]
        return None if outcome.failed else bool(outcome.value)

    return [verdict(*pair) for pair in pairs]

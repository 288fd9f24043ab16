"""The `math` reward: 1 when math-verify finds the response's final answer equal to the problem's.

Left out: partial credit, and a look at the reasoning.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gift.config import MathReward
from gift.data.answers import clean_answer, final_answer
from gift.rewards.reward import Response, Reward
from gift.rewards.workers import WorkerPool


@contextmanager
def open_math_reward(config: MathReward) -> Iterator[Reward]:
    """Workers start with the first responses that need one."""
    with WorkerPool(config.name, ["math"], config.workers, config.time_limit) as pool:
        yield lambda responses: _score(responses, config, pool)


def _score(responses: Sequence[Response], config: MathReward, pool: WorkerPool) -> list[float | None]:
    """1.0, 0.0 (another answer, or none), or None (math-verify failed or ran out of time)."""
    pairs = [
        (final_answer(response.text, config.formats), clean_answer(response.problem.final_answer))
        for response in responses
    ]
    # Responses of one group often agree, so each pair is judged once; equal texts need no mathematics.
    asked = list(dict.fromkeys((answer, gold) for answer, gold in pairs if answer is not None and answer != gold))
    verdicts = dict(zip(asked, pool.run(asked), strict=True))

    def value(answer: str | None, gold: str) -> float | None:
        if answer is None or answer == gold:
            return float(answer is not None)
        verdict = verdicts[answer, gold]
        return None if verdict.failed else float(verdict.value)

    return [value(answer, gold) for answer, gold in pairs]

"""The `math` reward: 1 when the one judge finds the response's final answer equal to the problem's.

Left out: partial credit, and a look at the reasoning.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gift.config import MathReward
from gift.judge.judge import Judge, open_judge
from gift.rewards.reward import UNJUDGED, Response, Reward


@contextmanager
def open_math_reward(config: MathReward) -> Iterator[Reward]:
    """Workers start now, so that they are ready before the first response is."""
    with open_judge(config.workers, config.time_limit) as judge:
        judge.start()
        yield Reward(
            values=lambda responses: _values(responses, config, judge),
            begin=lambda response: judge.begin(response.text, response.problem.final_answer, config.formats),
        )


def _values(responses: Sequence[Response], config: MathReward, judge: Judge) -> list[object]:
    """1.0, 0.0 (another answer, or none), or UNJUDGED."""
    verdicts = judge.verdicts(
        [(response.text, response.problem.final_answer) for response in responses], config.formats
    )
    return [UNJUDGED if verdict is None else float(verdict) for verdict in verdicts]

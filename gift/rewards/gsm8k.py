"""The verifier of GSM8K: the final answer as text, as lm-eval's `strict-match` counts GSM8K's own answers.

Left out: any mathematics (`1/2` is not `0.5`); that is the `math` reward's.
"""

from gift.data.problems import Problem
from gift.judge.answers import states_number


def gsm8k_reward(completion: str, problem: Problem) -> float:
    """1.0 when the first number after `####` is the problem's final answer, else 0.0."""
    return float(states_number(completion, problem.final_answer))

"""The verifier of GSM8K: the final answer as text, as lm-eval's `strict-match` counts GSM8K's own answers.

Left out: any mathematics (`1/2` is not `0.5`); that is the `math` reward's.
"""

from gift.data.answers import normalise_number, number_after_mark
from gift.data.problems import Problem


def gsm8k_reward(completion: str, problem: Problem) -> float:
    """1.0 when the first number after `####` is the problem's final answer, else 0.0.

    lm-eval ignores every comma; here `0,1` and `12,34` are not `01` and `1234`, which GSM8K never asks.
    """
    return float(number_after_mark(completion) == normalise_number(problem.final_answer))

"""Explicit rewards: what a completion is worth, as a number.

`gsm8k` is the verifier: 1.0 when the number after `####` equals the problem's, else 0.0. Any other name is the import
path `package.module:function` of your own callable with the signature of `Reward`.

Left out: reward models, answers in LaTeX, weighted sums, and time limits for callables that may hang.
"""

import importlib
import re
from collections.abc import Callable

from gift.data.problems import Problem
from gift.errors import GiftError

Reward = Callable[[str, Problem], float]
"""(completion text, problem) → reward, a finite float."""

# The same expression as lm-eval's gsm8k `strict-match`, so that training and benchmark agree on what counts.
_FINAL_ANSWER = re.compile(r"#### (-?[0-9.,]+)")


def load_reward(name: str) -> Reward:
    """The reward that a configuration names.

    Raises:
        GiftError: the import path names nothing callable.
    """
    if name == "gsm8k":
        return gsm8k_reward
    module_name, _, function_name = name.partition(":")
    try:
        reward: Reward = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise GiftError(f"reward {name!r} can't be imported: {error}; it must be package.module:function") from error
    if not callable(reward):
        raise GiftError(f"reward {name!r} is not callable; it must be a function of (completion, problem)")
    return reward


def gsm8k_reward(completion: str, problem: Problem) -> float:
    """1.0 when the first number after `####` is the problem's final answer, else 0.0."""
    match = _FINAL_ANSWER.search(completion)
    return float(match is not None and normalise_number(match.group(1)) == normalise_number(problem.final_answer))


def normalise_number(text: str) -> str:
    """`1,200.` and `1200` are the same answer (thousands commas, a closing full stop)."""
    return text.replace(",", "").replace("$", "").removesuffix(".")

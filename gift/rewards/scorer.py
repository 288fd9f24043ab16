"""All rewards of a run together: weighted sums, values by name, and errors apart from zeros.

Each reward's own resources (worker processes, a model) live as long as the scorer is open.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gift.config import FunctionReward, Gsm8kReward, MathReward, ModelReward, PromptFormat, RewardConfig
from gift.data.problems import Problem
from gift.errors import GiftError
from gift.rewards.function import open_function_reward
from gift.rewards.gsm8k import gsm8k_reward
from gift.rewards.math import open_math_reward
from gift.rewards.reward import Response, Reward

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Scores:
    """Rewards of B responses."""

    total: list[float]
    """(B) Σ weight · value."""
    by_name: dict[str, list[float]]
    """(B) values of each reward, without its weight; 0 where it could not judge."""
    errors: dict[str, int]
    """How many responses each reward could not judge: time-outs and crashes, but no wrong answers."""


@dataclass(frozen=True)
class Scorer:
    """The opened rewards of a run."""

    rewards: Sequence[tuple[RewardConfig, Reward]]

    def score(self, completions: Sequence[str], problems: Sequence[Problem], lengths: Sequence[int]) -> Scores:
        """Score B completions, each of the problem in the same place.

        Args:
            completions: B texts without special tokens.
            problems: B problems.
            lengths: B lengths of the completions in tokens of the policy.

        Raises:
            GiftError: a reward gave no finite number, your own function failed, or a reward model can't take a text.
        """
        responses = [Response(*row) for row in zip(completions, problems, lengths, strict=True)]
        total = [0.0] * len(responses)
        by_name: dict[str, list[float]] = {}
        errors: dict[str, int] = {}
        for config, reward in self.rewards:
            values = reward(responses)
            errors[config.name] = sum(value is None for value in values)
            by_name[config.name] = [
                0.0 if value is None else _finite(value, config, response.problem)
                for value, response in zip(values, responses, strict=True)
            ]
            total = [sum_ + config.weight * value for sum_, value in zip(total, by_name[config.name], strict=True)]
        return Scores(total, by_name, errors)


@contextmanager
def open_scorer(rewards: Sequence[RewardConfig], *, prompt: PromptFormat, device: "torch.device") -> Iterator[Scorer]:
    """Load what the rewards need; worker processes and models are gone when the context ends.

    Args:
        rewards: at least one, with distinct names.
        prompt: of the run, for reward models without a chat template.
        device: where reward models run.

    Raises:
        GiftError: a function can't be imported, or a model can't be loaded or is no reward model.
    """
    with ExitStack() as resources:
        yield Scorer([(config, resources.enter_context(_open(config, prompt, device))) for config in rewards])


def _open(config: RewardConfig, prompt: PromptFormat, device: "torch.device") -> AbstractContextManager[Reward]:
    match config:
        case Gsm8kReward():
            return nullcontext(lambda responses: [gsm8k_reward(each.text, each.problem) for each in responses])
        case MathReward():
            return open_math_reward(config)
        case FunctionReward():
            return open_function_reward(config)
        case ModelReward():
            from gift.rewards.model import load_model_reward  # the only one that needs torch

            return nullcontext(load_model_reward(config, prompt, device))


def _finite(value: object, config: RewardConfig, problem: Problem) -> float:
    """Raises: GiftError: `value` is not a finite number."""
    if isinstance(value, float) and math.isfinite(value):
        return value
    name = config.function if isinstance(config, FunctionReward) else config.name
    raise GiftError(f"reward {name} gave {value} for problem {problem.id}; it must return a finite number")

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
from gift.rewards.reward import UNJUDGED, Response, Reward

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Scores:
    """Rewards of B responses."""

    total: list[float]
    """(B) Σ weight · value."""
    by_name: dict[str, list[float]]
    """(B) values of each reward, without its weight; 0 where it could not judge, NaN where it does not apply."""
    errors: dict[str, int]
    """How many responses each reward could not judge: time-outs and crashes, but no wrong answers."""


@dataclass(frozen=True)
class Scorer:
    """The opened rewards of a run."""

    rewards: Sequence[tuple[RewardConfig, Reward]]

    def begin(self, response: Response) -> None:
        """Have other processes start on a response that `score` will be asked about, while others are still sampled.

        Raises:
            GiftError: such a process could not start.
        """
        for _, reward in self.rewards:
            if reward.begin is not None:
                reward.begin(response)

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
            values = reward.values(responses)
            errors[config.name] = sum(value is UNJUDGED for value in values)
            numbers = [_number(value, config, row.problem) for value, row in zip(values, responses, strict=True)]
            by_name[config.name] = numbers
            total = [
                sum_ if math.isnan(number) else sum_ + config.weight * number
                for sum_, number in zip(total, numbers, strict=True)
            ]
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
            return nullcontext(Reward(lambda rows: [gsm8k_reward(row.text, row.problem) for row in rows]))
        case MathReward():
            return open_math_reward(config)
        case FunctionReward():
            return open_function_reward(config)
        case ModelReward():
            from gift.rewards.model import load_model_reward  # the only one that needs torch

            return nullcontext(Reward(load_model_reward(config, prompt, device)))


def _number(value: object, config: RewardConfig, problem: Problem) -> float:
    """Raises: GiftError: `value` is none of a finite number, None and UNJUDGED."""
    if value is UNJUDGED:
        return 0.0
    if value is None:
        return math.nan
    if isinstance(value, float) and math.isfinite(value):
        return value
    name = config.function if isinstance(config, FunctionReward) else config.name
    raise GiftError(f"reward {name} gave {value} for problem {problem.id}; it must return a finite number, or None")

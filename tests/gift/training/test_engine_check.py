"""The proof at start-up that an engine samples from the trainer's weights; a real vLLM's is in tests/gift/rollout."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from small_policy import small_policy
from torch import nn
from transformers import LlamaForCausalLM

from gift.config import RolloutConfig
from gift.errors import GiftError
from gift.policy.log_probabilities import response_log_probabilities
from gift.rollout.rollouts import Rollouts
from gift.rollout.transformers import TransformersEngine
from gift.training.engine_check import check_engine

CONFIG = RolloutConfig(group_size=4, max_prompt_tokens=8, max_new_tokens=16)
PROMPTS = [[5, 6, 7], [8]]


class Reporting(TransformersEngine):
    """Samples well, and says the log-probabilities that `distort` makes of the policy's."""

    def __init__(self, distort: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__(CONFIG, ends=[1], pad=0)
        self._distort = distort

    def refresh(self, policy: nn.Module) -> None:
        super().refresh(policy)
        self._policy_now = policy

    def sample(
        self, prompts: Sequence[Sequence[int]], responses: int, seed: int, max_new_tokens: int | None = None
    ) -> Rollouts:
        rollouts = super().sample(prompts, responses, seed, max_new_tokens)
        with torch.no_grad():
            right = response_log_probabilities(self._policy_now, rollouts, CONFIG.temperature)
        return replace(rollouts, engine_log_probabilities=self._distort(right))


@pytest.fixture(scope="module")
def policy() -> LlamaForCausalLM:
    return small_policy()


def test_an_engine_that_says_the_policys_log_probabilities_passes(policy: LlamaForCausalLM) -> None:
    check_engine(Reporting(lambda right: right), policy, PROMPTS, CONFIG)


@pytest.mark.parametrize("distort", [lambda right: right * float("nan"), lambda right: right + 1.0])
def test_an_engine_that_is_off_or_says_no_number_is_refused(
    policy: LlamaForCausalLM, distort: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    with pytest.raises(GiftError, match=r"are (nan|1\.000) nats per token off the trainer's"):
        check_engine(Reporting(distort), policy, PROMPTS, CONFIG)

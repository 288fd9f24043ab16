"""The proof at start-up that an engine samples from the trainer's weights; a real vLLM's is in tests/gift/rollout."""

import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext
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


def test_after_a_sync_an_engine_whose_numbers_did_not_move_is_stale_however_large_its_noise(
    policy: LlamaForCausalLM,
) -> None:
    """In bf16 a small update is lost in the noise, but not that nothing moved."""
    policy = small_policy()
    noise = 0.02 * torch.randn(8, 16, generator=torch.manual_seed(0))
    engine = Reporting(lambda right: right + noise[: len(right), : right.shape[1]])
    check = check_engine(engine, policy, PROMPTS, CONFIG)
    assert check.limit == pytest.approx(CONFIG.vllm.max_difference)
    check.after_sync()  # nothing moved, the trainer neither
    old = copy.deepcopy(policy)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 1e-5
    engine._policy_now = old
    with pytest.raises(
        GiftError, match=r"by \d\.\de-0[3-6] nats per token and those of rank 0's rollout engine not at all"
    ):
        check.after_sync()
    engine.refresh(policy)
    check.after_sync()


@pytest.mark.parametrize(("off", "passes"), [(9e-4, True), (2e-3, False), (float("nan"), False)])
def test_after_a_sync_ten_times_the_noise_of_the_start_is_no_noise_any_more(off: float, passes: bool) -> None:
    added = [1e-4]
    check = check_engine(Reporting(lambda right: right + added[0]), small_policy(), PROMPTS, CONFIG)
    added[0] = off
    refused = pytest.raises(GiftError, match=r"are (0.002|nan) nats per token off the trainer's, where 0.001 may be")
    with nullcontext() if passes else refused:
        check.after_sync()

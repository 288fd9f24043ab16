"""The verifier counts what lm-eval's gsm8k counts, and a reward of one's own is found by its import path."""

import pytest

from gift.data.problems import Problem
from gift.errors import GiftError
from gift.rewards import gsm8k_reward, load_reward

PROBLEM = Problem("p", "How many?", "2 + 2 = 1200\n#### 1200", "1200")


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        (" 2 * 600 = 1200\n#### 1200", 1.0),
        ("#### 1,200", 1.0),
        ("#### 1200.", 1.0),
        ("#### 1200 dollars", 1.0),
        ("#### 1201", 0.0),
        ("#### -1200", 0.0),
        ("1200", 0.0),
        ("####1200", 0.0),
        ("", 0.0),
        ("#### 7\n#### 1200", 0.0),
    ],
)
def test_gsm8k_reward(completion: str, reward: float) -> None:
    assert gsm8k_reward(completion, PROBLEM) == reward


def test_a_reward_is_found_by_import_path() -> None:
    assert load_reward("gsm8k") is gsm8k_reward
    assert load_reward("gift.rewards:gsm8k_reward") is gsm8k_reward


@pytest.mark.parametrize("name", ["no.such.module:reward", "gift.rewards:missing", "gift.rewards:re"])
def test_an_import_path_to_nothing_callable_is_refused(name: str) -> None:
    with pytest.raises(GiftError, match="reward"):
        load_reward(name)

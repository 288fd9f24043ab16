"""The verifier counts what lm-eval's gsm8k counts (tests/gift/evaluation compares the two)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gift.data.problems import Problem
from gift.judge.answers import normalise_number
from gift.rewards.gsm8k import gsm8k_reward

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


@pytest.mark.parametrize(
    ("completion", "answer", "reward"),
    [
        ("#### 0,1", "0,1", 1.0),
        ("#### 01", "0,1", 0.0),
        ("#### 1,2", "12", 0.0),
        ("#### 12", "1,2", 0.0),
        ("#### 1,2", "1,2", 1.0),
        ("#### 12,34", "1234", 0.0),
        ("#### 1,23,456", "123456", 0.0),
        ("#### 12", "(1,2)", 0.0),
        ("#### 05", "[0,5]", 0.0),
        ("#### 1200", "$1,200", 1.0),
        ("#### 1,200, as they say", "1200", 1.0),
        ("#### -1,234,567.50", "-1234567.50", 1.0),
        ("#### ,", "", 0.0),
        ("#### .", "", 0.0),
    ],
)
def test_a_comma_counts_unless_it_parts_thousands(completion: str, answer: str, reward: float) -> None:
    assert gsm8k_reward(completion, Problem("p", "?", "", answer)) == reward


@given(number=st.integers(-(10**12), 10**12))
def test_a_number_is_the_same_with_thousands_commas_and_a_full_stop(number: int) -> None:
    assert {normalise_number(form) for form in (f"{number}", f"{number:,}", f"{number:,}.", f"${number}")} == {
        str(number)
    }
    assert gsm8k_reward(f"so #### {number:,}.", Problem("p", "?", "", str(number))) == 1.0


@given(answer=st.integers(), gold=st.integers())
def test_different_numbers_never_count_as_equal(answer: int, gold: int) -> None:
    assert gsm8k_reward(f"#### {answer:,}", Problem("p", "?", "", str(gold))) == float(answer == gold)


@given(text=st.text())
def test_any_text_gets_a_verdict(text: str) -> None:
    assert gsm8k_reward(text, PROBLEM) in (0.0, 1.0)

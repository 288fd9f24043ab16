"""Several rewards are weighted and summed; what could not be judged is counted and never mistaken for a zero."""

import math
from pathlib import Path

import pytest

from gift.config import FunctionReward, Gsm8kReward, MathReward, PromptFormat
from gift.data.problems import Problem
from gift.errors import GiftError
from gift.rewards import open_scorer

OWN = """
import os
def letters(completion, problem):
    if "exit" in completion:
        os._exit(1)
    return len(completion)
def strange(completion, problem):
    return {"nan": float("nan"), "inf": float("inf"), "text": "high", "none": None}[completion]
"""


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)


def problems(*final_answers: str) -> list[Problem]:
    return [Problem(f"train-{i}", "?", "", answer) for i, answer in enumerate(final_answers)]


def test_rewards_are_weighted_and_summed_and_errors_are_counted_apart() -> None:
    rewards = (
        Gsm8kReward(kind="gsm8k", weight=2.0),
        MathReward(kind="math", formats=("gsm8k",)),
        FunctionReward(kind="function", name="letters", function="own:letters", weight=-0.1),
    )
    completions = ["#### 3", "#### 6/2", "#### 4", "exit"]
    with open_scorer(rewards, prompt=PromptFormat(template="{question}"), device=None) as scorer:
        scores = scorer.score(completions, problems("3", "3", "3", "3"), [4, 4, 4, 4])
    assert scores.by_name == {
        "gsm8k": [1.0, 0.0, 0.0, 0.0],
        "math": [1.0, 1.0, 0.0, 0.0],
        "letters": [6.0, 8.0, 6.0, 0.0],
    }
    assert scores.total == pytest.approx([2 + 1 - 0.6, 1 - 0.8, -0.6, 0.0])
    assert scores.errors == {"gsm8k": 0, "math": 0, "letters": 1}


def test_a_reward_that_does_not_apply_counts_nowhere() -> None:
    rewards = (
        Gsm8kReward(kind="gsm8k"),
        FunctionReward(kind="function", name="mine", function="own:strange"),
    )
    with open_scorer(rewards, prompt=PromptFormat(template="{question}"), device=None) as scorer:
        scores = scorer.score(["none"], problems("3"), [4])
    assert scores.total == [0.0]
    assert math.isnan(scores.by_name["mine"][0])
    assert scores.errors == {"gsm8k": 0, "mine": 0}


def test_no_responses_have_no_scores() -> None:
    with open_scorer(
        (Gsm8kReward(kind="gsm8k"), MathReward(kind="math")), prompt=PromptFormat(template="{question}"), device=None
    ) as scorer:
        scores = scorer.score([], [], [])
    assert (scores.total, scores.by_name, scores.errors) == ([], {"gsm8k": [], "math": []}, {"gsm8k": 0, "math": 0})


@pytest.mark.parametrize(("completion", "given"), [("nan", "nan"), ("inf", "inf"), ("text", "'high'")])
def test_what_is_no_finite_number_is_refused_with_the_reward_and_the_problem(completion: str, given: str) -> None:
    reward = FunctionReward(kind="function", name="mine", function="own:strange")
    with (
        open_scorer((reward,), prompt=PromptFormat(template="{question}"), device=None) as scorer,
        pytest.raises(
            GiftError,
            match=f"reward own:strange gave {given} for problem train-0; .* a finite number, or None",
        ),
    ):
        scorer.score([completion], problems("3"), [1])

"""math-verify decides what is equal; what it can't decide in time is an error, and the next answer is unharmed."""

import time
from collections.abc import Iterator, Sequence

import pytest

from gift.config import MathReward
from gift.data.problems import Problem
from gift.rewards import workers
from gift.rewards.math import open_math_reward
from gift.rewards.reward import Response, Reward

TIME_LIMIT = 3.0
"""Longer than a busy machine takes for any of the answers that are judged here."""


@pytest.fixture(scope="module")
def reward() -> Iterator[Reward]:
    with open_math_reward(MathReward(kind="math", time_limit=TIME_LIMIT)) as opened:
        yield opened


def boxed(answer: str, gold: str) -> Response:
    return Response(f"Hence \\boxed{{{answer}}}.", Problem("p", "?", "", gold), tokens=9)


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("42", "42"),
        ("1/2", "0.5"),
        ("0.5", r"\frac{1}{2}"),
        (r"\dfrac{1}{2}", r"\frac12"),
        ("0.333333", r"\frac{1}{3}"),
        ("1,200", "1200"),
        ("1200.00", "1200"),
        (r"\$1{,}200", "1200"),
        ("2**10", "1024"),
        (r"2\sqrt{2}", r"\sqrt{8}"),
        ("(x+1)^2", "x^2+2x+1"),
        ("x = 5", "5"),
        ("5", "x=5"),
        (r"\{2, 1\}", r"\{1, 2\}"),
        ("2, 1", "1, 2"),
        (r"\left(1, 2\right]", "(1,2]"),
        (r"(-\infty, 3]", r"x \le 3"),
        (r"(3, \pi/2)", r"\left( 3, \frac{\pi}{2} \right)"),
        (r"\begin{bmatrix} 1 \\ 2 \end{bmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
        ("4i + 3", "3+4i"),
        (r"50\%", "50"),
        (r"90^\circ", "90"),
        (r"12 \text{ cm}^2", "12"),
        ("5", r"5 \text{ feet}"),
        ("A", r"\text{(A)}"),
        ("Tuesday", r"\text{Tuesday}"),
        (r"\frac{1}{29322216}", r"\dfrac{1}{29,\!322,\!216}"),
        (r"05\!:\!00", r"05\!:\!00"),  # math-verify fails on it; equal texts are equal
    ],
)
def test_equal_answers(reward: Reward, answer: str, gold: str) -> None:
    assert reward([boxed(answer, gold)]) == [1.0]


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("41", "42"),
        ("-42", "42"),
        ("0.33", r"\frac{1}{3}"),
        ("(2, 1)", "(1, 2)"),
        ("(1, 2)", "[1, 2]"),
        ("2 \\text{ or } 3", "2"),
        ("x + 1", "x + 2"),
        ("I don't know", "42"),
        (r"\frac{", "42"),
        ("Monday", r"\text{Tuesday}"),
    ],
)
def test_other_answers_are_wrong_and_no_error(reward: Reward, answer: str, gold: str) -> None:
    assert reward([boxed(answer, gold)]) == [0.0]


def test_a_response_without_an_answer_is_wrong_and_no_error(reward: Reward) -> None:
    assert reward([Response("It is 42.", Problem("p", "?", "", "42"), 5)]) == [0.0]


def test_the_formats_are_the_configuration_s() -> None:
    responses = [
        Response(text, Problem("p", "?", "", "0.5"), 5) for text in ("Answer: 1/2", "#### 1/2", "\\boxed{1/2}")
    ]
    with open_math_reward(MathReward(kind="math", formats=("answer", "gsm8k"))) as reward:
        assert reward(responses) == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("bomb", ["9**9**9", "9^{9^9}"])
def test_a_hostile_expression_costs_one_time_limit_and_is_an_error(
    reward: Reward, bomb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reward([boxed("1", "2")])  # a worker is there
    replacements: list[workers.RewardWorker] = []

    def hire(program: Sequence[str]) -> workers.RewardWorker:
        replacements.append(started_worker(program))
        return replacements[-1]

    started_worker = workers.RewardWorker
    monkeypatch.setattr(workers, "RewardWorker", hire)
    started = time.monotonic()
    # A whole group that gives the same answer costs as much as one response that does.
    values = reward([boxed("1/2", "0.5"), *[boxed(bomb, "3")] * 16, boxed("2/4", "0.5"), boxed("1/3", "0.5")])
    assert values == [1.0, *[None] * 16, 1.0, 0.0]
    assert time.monotonic() - started >= TIME_LIMIT
    # Every limit costs a worker; counted, because seconds depend on what else the machine does.
    assert len(replacements) == 1


def test_an_exception_inside_math_verify_is_an_error_and_no_wrong_answer(reward: Reward) -> None:
    assert reward([boxed("1" * 5000, "3"), boxed("6/2", "3")]) == [None, 1.0]


def test_many_answers_take_little_time(reward: Reward) -> None:
    reward([boxed("1", "2")])
    started = time.monotonic()
    assert reward([boxed(f"{2 * n}/2", str(n)) for n in range(128)]) == [1.0] * 128
    assert time.monotonic() - started < 5  # far below a second on an idle machine

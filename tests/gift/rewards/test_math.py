"""What the judge can't decide in time is an error and no wrong answer, and the next response is unharmed."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import psutil
import pytest

from gift.config import MathReward
from gift.data.problems import Problem
from gift.rewards.math import open_math_reward
from gift.rewards.reward import UNJUDGED, Response, Reward
from gift.workers import pool

TIME_LIMIT = 1.0
"""Of processor time, which no busy machine stretches."""


@pytest.fixture(scope="module")
def reward() -> Iterator[Reward]:
    with open_math_reward(MathReward(kind="math", time_limit=TIME_LIMIT)) as opened:
        yield opened


def boxed(answer: str, gold: str) -> Response:
    return Response(f"Hence \\boxed{{{answer}}}.", Problem("p", "?", "", gold), tokens=9)


def judges() -> int:
    return sum("gift.judge.judge:comparison" in child.cmdline() for child in psutil.Process().children())


def test_workers_start_before_the_first_response_is_there() -> None:
    before = judges()
    with open_math_reward(MathReward(kind="math", workers=2)):
        assert judges() == before + 2


def test_what_is_equal_is_for_the_judge_to_say(reward: Reward) -> None:
    answers = {"1/2": 1.0, r"\frac{3}{6}": 1.0, "0.51": 0.0, "I don't know": 0.0, r"\frac{": 0.0, "1/0": 0.0}
    assert reward.values([boxed(answer, "0.5") for answer in answers]) == list(answers.values())


def test_a_response_without_an_answer_is_wrong_and_no_error(reward: Reward) -> None:
    assert reward.values([Response("It is 42.", Problem("p", "?", "", "42"), 5)]) == [0.0]


def test_the_formats_are_the_configuration_s() -> None:
    responses = [
        Response(text, Problem("p", "?", "", "0.5"), 5) for text in ("Answer: 1/2", "#### 1/2", "\\boxed{1/2}")
    ]
    with open_math_reward(MathReward(kind="math", formats=("answer", "gsm8k"))) as reward:
        assert reward.values(responses) == [1.0, 1.0, 0.0]


@pytest.mark.slow
@pytest.mark.parametrize("bomb", ["(9^{8})!", r"\binom{10^{8}}{10^{7}}"])
def test_a_hostile_expression_is_tried_twice_and_is_an_error(
    reward: Reward, bomb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reward.values([boxed("1", "2")])  # a worker is there
    replacements: list[pool.Worker] = []

    def hire(program: Sequence[str], limit: pool.TimeLimit) -> pool.Worker:
        replacements.append(started_worker(program, limit))
        return replacements[-1]

    sent: list[str] = []

    def send(worker: pool.Worker, task: int, arguments: Sequence[str]) -> None:
        sent.append(arguments[0])
        send_on(worker, task, arguments)

    started_worker, send_on = pool.Worker, pool.Worker.send
    monkeypatch.setattr(pool.Worker, "send", send)
    monkeypatch.setattr(pool, "Worker", hire)
    started = time.monotonic()
    # A whole group that gives the same answer costs as much as one response that does.
    values = reward.values([boxed("1/2", "0.5"), *[boxed(bomb, "3")] * 16, boxed("2/4", "0.5"), boxed("1/3", "0.5")])
    assert values == [1.0, *[UNJUDGED] * 16, 1.0, 0.0]
    assert time.monotonic() - started >= 2 * TIME_LIMIT
    # Every limit costs a worker; counted, because seconds depend on what else the machine does.
    assert len(replacements) == 1, "after the second try nothing is left to do"
    assert sent == ["1/2", bomb, "2/4", "1/3", bomb]


@pytest.mark.slow
def test_a_hostile_response_that_was_alone_is_tried_once(reward: Reward, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    send = pool.Worker.send

    def record(worker: pool.Worker, task: int, arguments: Sequence[str]) -> None:
        sent.append(arguments[0])
        send(worker, task, arguments)

    monkeypatch.setattr(pool.Worker, "send", record)
    bomb = r"\binom{10^{8}}{10^{7}}"
    assert reward.values([boxed(bomb, "3")]) == [UNJUDGED]
    assert sent == [bomb]


@pytest.mark.slow
def test_a_busy_machine_changes_no_verdict() -> None:
    """The limit is one of processor time; beside so many busy processes all takes three times as long."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        with open_math_reward(MathReward(kind="math", time_limit=1.0)) as alone:
            pairs = [boxed(rf"\sqrt{{{n}x}}\sqrt{{{n}x}}", f"{n}x") for n in range(2, 14)]
            assert alone.values(pairs) == [1.0] * len(pairs)
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_digits_without_end_are_wrong_and_no_error(reward: Reward) -> None:
    assert reward.values([boxed("1" * 5000, "3"), boxed("9^{9^9}", "3"), boxed("6/2", "3")]) == [0.0, 0.0, 1.0]


def test_many_answers_take_little_time(reward: Reward) -> None:
    reward.values([boxed("1", "2")])
    started = time.monotonic()
    assert reward.values([boxed(f"{2 * n}/2", str(n)) for n in range(128)]) == [1.0] * 128
    assert time.monotonic() - started < 5  # far below a second on an idle machine

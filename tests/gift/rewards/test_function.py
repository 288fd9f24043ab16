"""Your own function runs elsewhere: its numbers come back, its bugs stop the run, its hangs and crashes are counted."""

import time
from pathlib import Path

import pytest

from gift.config import FunctionReward
from gift.data.problems import Problem
from gift.errors import GiftError
from gift.rewards.function import open_function_reward
from gift.rewards.reward import UNJUDGED, Response

PROBLEM = Problem("train-7", "How many?", "It is 3.\n#### 3", "3")
OWN = """
import itertools, os, signal, sys, time
import numpy
from gift.data.problems import Problem

not_callable = 3

def length(completion, problem):
    assert problem == Problem("train-7", "How many?", "It is 3.\\n#### 3", "3")
    print("a word on stdout that is no reply", flush=True)
    assert sys.stdin.read() == ""
    return len(completion)

def kinds(completion, problem):
    return {"bool": True, "int": 2, "float": 3.5, "numpy": numpy.float32(4), "array": numpy.array(5)}[completion]

def broken(completion, problem):
    if completion == "bug":
        raise KeyError("no such thing")
    return {"nan": float("nan"), "text": "high", "none": None}[completion]

def hostile(completion, problem):
    match completion:
        case "sleep": time.sleep(600)
        case "loop in C": sum(itertools.repeat(1))  # deaf to signal handlers, and keeps all threads waiting
        case "exit": os._exit(3)
        case "sys.exit": sys.exit()
        case "signal": os.kill(os.getpid(), signal.SIGKILL)
    return 1.0

def imports(completion, problem):
    import gift.judge.equality
    return sum(name in sys.modules for name in ("torch", "transformers", "deepspeed"))
"""


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_rewards.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)


def values(function: str, *completions: str, time_limit: float = 30.0, workers: int = 1) -> list[object]:
    config = FunctionReward(kind="function", function=f"own_rewards:{function}", time_limit=time_limit, workers=workers)
    with open_function_reward(config) as reward:
        return list(reward.values([Response(completion, PROBLEM, 5) for completion in completions]))


def test_the_function_gets_the_completion_and_the_problem() -> None:
    assert values("length", "", "ab", "x" * 200_000, "ünï\ncode\udc80") == [0.0, 2.0, 200_000.0, 9.0]


def test_any_kind_of_number_is_a_float() -> None:
    numbers = values("kinds", "bool", "int", "float", "numpy", "array")
    assert numbers == [1.0, 2.0, 3.5, 4.0, 5.0]
    assert {type(number) for number in numbers} == {float}


def test_none_says_that_the_function_does_not_apply() -> None:
    assert values("broken", "none") == [None]


def test_several_workers_keep_the_order() -> None:
    assert values("length", *("x" * n for n in range(50)), workers=2) == [float(n) for n in range(50)]


@pytest.mark.parametrize("fault", ["sleep", "loop in C"])
def test_a_hang_costs_one_time_limit_and_is_an_error(fault: str) -> None:
    started = time.monotonic()
    assert values("hostile", "fine", fault, "fine", time_limit=0.5) == [1.0, UNJUDGED, 1.0]
    assert time.monotonic() - started < 20


def test_a_crash_is_an_error_and_the_next_response_is_scored() -> None:
    faults = ("exit", "sys.exit", "signal")
    assert values("hostile", *faults, "fine", "exit", "fine") == [UNJUDGED, UNJUDGED, UNJUDGED, 1.0, UNJUDGED, 1.0]


def test_an_exception_stops_the_run_and_is_named() -> None:
    with pytest.raises(
        GiftError, match=r"own_rewards:broken raised KeyError: 'no such thing' \(own_rewards.py, line 19\)"
    ):
        values("broken", "bug")
    with pytest.raises(GiftError, match="for problem train-7"):
        values("broken", "bug")


def test_a_worker_loads_no_heavy_library() -> None:
    assert values("imports", "") == [0.0]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("no.such.module:reward", "No module named 'no'"),
        ("own_rewards:missing", "has no attribute 'missing'"),
        ("own_rewards:not_callable", "not_callable is not callable"),
    ],
)
def test_an_import_path_to_nothing_callable_is_refused_at_once(function: str, reason: str) -> None:
    config = FunctionReward(kind="function", function=function)
    with pytest.raises(GiftError, match=f"reward {function} can't be loaded.*{reason}"), open_function_reward(config):
        pass

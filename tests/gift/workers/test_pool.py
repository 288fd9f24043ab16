"""No worker outlives its pool, or the process that it works for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from gift.errors import GiftError
from gift.workers.pool import TimeLimit, WorkerPool

HANGING = """
import os, pathlib, subprocess, time
def score(completion, problem):
    child = subprocess.Popen(["sleep", "600"])
    pathlib.Path(completion).write_text(f"{os.getpid()} {child.pid}")
    time.sleep(600)
"""
JUDGE = ["gift.judge.judge:comparison"]
HANGING_REWARD = ["gift.rewards.function:own_function", "hanging:score"]
PARENT = """
import sys
from gift.config import FunctionReward, PromptFormat
from gift.data.problems import Problem
from gift.rewards import open_scorer
config = FunctionReward(kind="function", function="hanging:score", time_limit=300)
with open_scorer([config], prompt=PromptFormat(template="{question}"), device=None) as scorer:
    scorer.score([sys.argv[1]], [Problem("p", "?", "", "1")], [1])
"""


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hanging.py").write_text(HANGING)
    monkeypatch.syspath_prepend(tmp_path)


def workers() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if "gift.workers.program" in child.cmdline()]


def gone(pid: int, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def wait_for(file: Path, seconds: float = 60) -> list[int]:
    deadline = time.monotonic() + seconds
    while not (file.is_file() and len(file.read_text().split()) == 2):
        assert time.monotonic() < deadline, f"nobody has written {file.name}"
        time.sleep(0.05)
    return [int(pid) for pid in file.read_text().split()]


def test_workers_start_when_needed_and_end_with_the_pool() -> None:
    with WorkerPool("judge", JUDGE, processes=2, limit=TimeLimit(30)) as pool:
        assert workers() == []
        assert [outcome.value for outcome in pool.run([("1", "1.0")])] == [True]
        first = workers()
        assert len(first) == 1
        assert [outcome.value for outcome in pool.run([("1", "1.0"), ("2", "3")])] == [True, False]
        assert len(workers()) == 2
        assert first[0] in workers()  # kept, not started anew
        pids = [worker.pid for worker in workers()]
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_worker_that_died_between_two_calls_is_replaced_and_no_error() -> None:
    with WorkerPool("judge", JUDGE, processes=1, limit=TimeLimit(30)) as pool:
        pool.run([("1", "1.0")])
        (worker,) = workers()
        worker.kill()
        assert gone(worker.pid)
        assert [outcome.value for outcome in pool.run([("1", "1.0")])] == [True]


def test_a_worker_out_of_time_is_killed_with_its_own_children(hanging: None, tmp_path: Path) -> None:
    problem = {"id": "p", "question": "?", "answer": "", "final_answer": "1"}
    with WorkerPool("hanging", HANGING_REWARD, processes=1, limit=TimeLimit(2)) as pool:
        (outcome,) = pool.run([(str(tmp_path / "pids"), problem)])
    assert outcome.lost == "no reply in 2 s"
    assert all(gone(pid) for pid in wait_for(tmp_path / "pids"))


def test_an_interrupted_call_leaves_no_late_reply_behind(hanging: None, tmp_path: Path) -> None:
    problem = {"id": "p", "question": "?", "answer": "", "final_answer": "1"}

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        with WorkerPool("hanging", HANGING_REWARD, processes=1, limit=TimeLimit(60)) as pool:
            pool.warm_up()
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            with pytest.raises(KeyboardInterrupt):
                pool.run([(str(tmp_path / "pids"), problem)])
            assert workers() == []
    finally:
        signal.signal(signal.SIGALRM, previous)


def test_a_program_that_can_t_start_is_named() -> None:
    with (
        WorkerPool("reward own", ["no_such:thing"], 1, TimeLimit(5)) as pool,
        pytest.raises(GiftError, match="reward own can't"),
    ):
        pool.run([("a", {})])


def test_a_task_that_was_begun_is_done_while_nobody_waits_for_it(hanging: None, tmp_path: Path) -> None:
    problem = {"id": "p", "question": "?", "answer": "", "final_answer": "1"}
    with WorkerPool("hanging", HANGING_REWARD, processes=1, limit=TimeLimit(1)) as pool:
        pool.warm_up()
        started = time.monotonic()
        tickets = [pool.begin((str(tmp_path / name), problem)) for name in ("first", "second")]
        assert time.monotonic() - started < 0.5
        wait_for(tmp_path / "first")
        assert not (tmp_path / "second").exists()
        first, second = pool.outcomes(tickets)
    assert first.lost == second.lost == "no reply in 1 s"
    assert all(gone(pid) for pid in wait_for(tmp_path / "second"))


def test_outcomes_are_those_of_their_tickets_in_whatever_order() -> None:
    with WorkerPool("judge", JUDGE, processes=2, limit=TimeLimit(30)) as pool:
        tickets = [pool.begin((str(n), "4.0")) for n in range(8)]
        assert [outcome.value for outcome in pool.run([("4", "4.0"), ("5", "4.0")])] == [True, False]
        assert [outcome.value for outcome in pool.outcomes(tickets[::-1])] == [n == 4 for n in range(8)][::-1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's PR_SET_PDEATHSIG")
def test_a_busy_worker_dies_with_its_parent(hanging: None, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(tmp_path)])}
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(pids)], env=environment)
    worker, child = wait_for(pids)
    assert psutil.Process(worker).ppid() == parent.pid
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert gone(worker)
    os.kill(child, signal.SIGKILL)  # what a function starts itself is its own business then


def test_a_limit_of_processor_time_ends_what_computes_and_not_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "working.py").write_text(
        "import itertools, time\n"
        "def work():\n"
        "    return lambda kind: time.sleep(1) if kind == 'wait' else sum(itertools.repeat(1))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with WorkerPool("working", ["working:work"], 1, TimeLimit(0.3, of_processor=True)) as pool:
        waited, computed = pool.run([("wait",), ("compute",)])
    assert not waited.failed
    assert computed.lost == "no reply in 0.3 s of processor time"

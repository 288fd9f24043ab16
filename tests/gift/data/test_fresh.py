"""Problems that nobody has seen: right, different, of the length that is asked for, and the same for the same seed."""

import json
import re
from pathlib import Path

import pytest
import sympy

from gift.config import load_profile
from gift.data.fresh import fresh_problems
from gift.data.prepare import data_settings, write_data
from gift.data.problems import read_problems
from gift.errors import GiftError

SMALL = ("data.sft=8", "data.train=4", "data.heldout=4")
ASKED = (
    "evaluation.benchmarks=[{task: heldout, max_new_tokens: 8}, {task: fresh_sampled, samples: 2, max_new_tokens: 8}]"
)


def test_every_answer_is_right() -> None:
    for problem in fresh_problems(3, 300, 12):
        expression = problem.question.removeprefix("Compute ").removesuffix(".")
        assert sympy.sympify(expression) == int(problem.final_answer)
        assert 0 <= int(problem.final_answer) <= 9_999


def test_problems_have_one_to_as_many_operations_as_are_asked_for() -> None:
    problems = fresh_problems(0, 60, 5)
    assert [len(re.findall(r" [-+*/] ", problem.question)) for problem in problems] == [1, 2, 3, 4, 5] * 12
    assert {sign for problem in problems for sign in re.findall(r" ([-+*/]) ", problem.question)} == set("+-*/")


def test_a_seed_gives_the_same_problems_and_another_one_others() -> None:
    first, again, other = fresh_problems(0, 200, 8), fresh_problems(0, 500, 8), fresh_problems(1, 200, 8)
    assert first == again[:200]
    assert len({problem.question for problem in again}) == 500
    assert len({problem.id for problem in [*again, *other]}) == 700
    assert {problem.question for problem in first} != {problem.question for problem in other}


def test_more_problems_than_there_are_is_one_line() -> None:
    with pytest.raises(GiftError, match=r"evaluation\.fresh: only \d+ of 50000 problems exist"):
        fresh_problems(0, 50_000, 1)


def test_any_profile_may_be_asked_them(tmp_path: Path) -> None:
    config = load_profile("local", (*SMALL, ASKED, "evaluation.fresh={seed: 7, problems: 30, steps: 4}"))
    counts = write_data(config, tmp_path)
    assert read_problems(tmp_path / "fresh/test.jsonl") == fresh_problems(7, 30, 4)
    assert (counts["contamination.fresh.problems"], counts["contamination.fresh.trained_on"]) == (30, 0)


def test_they_decide_the_data_where_they_are_asked() -> None:
    configs = [load_profile("local", (ASKED, f"evaluation.fresh.seed={seed}")) for seed in (0, 1)]
    assert len({json.dumps(data_settings(config)) for config in [load_profile("local"), *configs]}) == 3


def test_settings_of_problems_that_nobody_asks_are_refused() -> None:
    with pytest.raises(GiftError, match=r"evaluation\.fresh is for the benchmarks fresh_greedy and fresh_sampled"):
        load_profile("local", ("evaluation.fresh.seed=1",))

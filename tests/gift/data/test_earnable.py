r"""A final answer that no response can earn is known before anything is trained on it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gift.config import load_profile, parse_config
from gift.data.earnable import Verifier, heldout_verifier, verifiers_by_split
from gift.judge.answers import clean_answer, final_answer

NUMBER, BOXED, LINE = heldout_verifier("gsm8k"), heldout_verifier("boxed"), heldout_verifier("answer")
NO_NUMBERS = ["72 apples", "$72", "1/2", "−5", "50%", "+5", "yes", "(1,2)", "x", "72 .", "7 2", "5 (five)", "1e3"]


@pytest.mark.parametrize("answer", ["72", "-5", "1,200", "1,234.50", "0,1", "3.5", "72.", "007"])
def test_a_number_can_be_earned_in_every_format(answer: str) -> None:
    assert [rule.can_be_earned(answer) for rule in (NUMBER, BOXED, LINE)] == [True] * 3


@pytest.mark.parametrize("answer", NO_NUMBERS)
def test_what_is_no_number_can_be_earned_only_where_texts_are_compared(answer: str) -> None:
    assert [rule.can_be_earned(answer) for rule in (NUMBER, BOXED, LINE)] == [False, True, True]


@pytest.mark.parametrize("answer", ["", " ", "$$", "**"])
def test_an_answer_that_says_nothing_can_be_earned_nowhere(answer: str) -> None:
    assert not any(rule.can_be_earned(answer) for rule in (NUMBER, BOXED, LINE))


@pytest.mark.parametrize(("answer", "in_pairs"), [("x}", False), ("{", False), ("5\\", False), (r"\left\{ x", True)])
def test_a_box_holds_only_braces_in_pairs(answer: str, in_pairs: bool) -> None:
    assert BOXED.can_be_earned(answer) == in_pairs
    assert LINE.can_be_earned(answer)
    assert Verifier("both", ("boxed", "answer")).can_be_earned(answer)


@pytest.mark.parametrize(
    "answer", [r"\frac{1}{2}", "$5.$", "**5**", r"\[\(5\)\]", r"\boxed{7}", "two\nlines", r"\text{(A)}"]
)
def test_an_answer_in_its_wrapping_can_be_earned(answer: str) -> None:
    assert BOXED.can_be_earned(answer)
    assert LINE.can_be_earned(answer)


@pytest.mark.parametrize("answer", ["\u200b72", "7\u00ad2", "72\ufeff", "\u200e72\u2061"])
def test_what_nobody_sees_changes_nothing(answer: str) -> None:
    bare = "72"
    assert [rule.can_be_earned(answer) for rule in (BOXED, LINE)] == [True, True]
    assert clean_answer(answer) == final_answer(rf"\boxed{{{bare}}}", ["boxed"]) == bare
    assert not BOXED.can_be_earned("\u200b")


@given(answer=st.text())
def test_every_answer_has_a_verdict(answer: str) -> None:
    assert {rule.can_be_earned(answer) for rule in (NUMBER, BOXED, LINE)} <= {True, False}


def _rules(**changes: Any) -> dict[str, list[str]]:
    config = parse_config(load_profile("local").model_dump(mode="json") | changes)
    return {split: [rule.name for rule in rules] for split, rules in verifiers_by_split(config).items()}


def test_only_what_compares_with_final_answers_asks_for_them() -> None:
    local = load_profile("local").model_dump(mode="json")
    model = {"kind": "model", "model": {"source": "folder", "path": "/rm"}}
    own = {"kind": "function", "function": "my_rewards:brevity"}
    both = [{"kind": "math"}, {"kind": "gsm8k"}]
    heldout = "evaluation.heldout_answers: gsm8k"
    assert _rules() == {"train": ["reward gsm8k"], "heldout": [heldout]}
    assert _rules(rewards=[model, own]) == {"train": [], "heldout": [heldout]}
    assert _rules(rewards=both)["train"] == ["reward math", "reward gsm8k"]
    assert _rules(rl=local["rl"] | {"heldout_every": 2}) == {
        "train": ["reward gsm8k"],
        "heldout": [heldout, "reward gsm8k"],
    }
    benchmark = {
        "evaluation": {"benchmarks": [{"task": "gsm8k", "max_new_tokens": 64}]},
        "gate": {"benchmarks": [{"benchmark": "gsm8k", "at_least": 0.0}]},
    }
    assert _rules(**benchmark)["heldout"] == []


def test_scored_responses_are_not_scored_again() -> None:
    data = {"source": "jsonl", "train_file": "a", "heldout_file": "b", "scored_file": "c"}
    rl = load_profile("local").model_dump(mode="json")["rl"] | {"groups": "dataset"}
    assert _rules(data=data, rl=rl, algorithm="una")["train"] == []

r"""The held-out benchmarks count what the rewards count, and an answer that states the reference is always right."""

from collections.abc import Iterator
from functools import partial

import pytest
from answer_pairs import DIFFERENT, EQUAL
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gift.config import AnswerFormat, MathReward
from gift.data.earnable import heldout_verifier
from gift.data.problems import Problem
from gift.evaluation.scoring import Score, marks_of, share_of_right_answers
from gift.judge.answers import clean_answer
from gift.judge.judge import open_judge
from gift.rewards.gsm8k import gsm8k_reward
from gift.rewards.math import open_math_reward
from gift.rewards.reward import Response

ANSWERS = st.one_of(st.text("0123456789,.-$()# "), st.text())
STATED = {"gsm8k": "#### {}", "boxed": r"\boxed{{{}}}", "answer": "Answer: {}"}


@pytest.fixture(scope="module")
def scores() -> Iterator[dict[str, Score]]:
    with open_judge(workers=1, time_limit=5) as judge:
        names: tuple[AnswerFormat, ...] = ("gsm8k", "boxed", "answer")
        yield {name: share_of_right_answers(partial(marks_of, judge, name), {}) for name in names}


@given(text=ANSWERS, marked=ANSWERS, final_answer=ANSWERS)
@example(text="", marked="0,1", final_answer="01")
@example(text="", marked="5,", final_answer="5")
@example(text="", marked=",", final_answer="")
@example(text="", marked="no number", final_answer="[none]")
@example(text="", marked="5", final_answer="5\x00")
def test_the_reward_and_the_benchmark_agree_on_every_text(
    scores: dict[str, Score], text: str, marked: str, final_answer: str
) -> None:
    completion = f"{text}#### {marked}"
    for answer in (final_answer, marked):
        reward = gsm8k_reward(completion, Problem("p", "?", "", answer))
        assert (
            scores["gsm8k"]({"id": "p", "final_answer": answer}, [[completion, text]])["exact_match"]
            == (reward + gsm8k_reward(text, Problem("p", "?", "", answer))) / 2
        )


@pytest.mark.parametrize("answers", ["boxed", "answer"])
@pytest.mark.parametrize(
    "reference",
    [
        "yes",
        "Tuesday",
        "(1,2)",
        "0,1",
        "72 apples",
        "$72",
        "50%",
        "−5",
        r"05\!:\!00",
        r"11,\! 111,\! 100",
        "1" * 5000,
        "x =",
    ],
)
def test_a_response_that_states_the_reference_is_right_whatever_math_verify_makes_of_it(
    scores: dict[str, Score], answers: str, reference: str
) -> None:
    assert heldout_verifier(answers).can_be_earned(reference)
    completion = f"so {STATED[answers].format(reference)}"
    assert scores[answers]({"id": "p", "final_answer": reference}, [[completion]]) == {
        "exact_match": 1.0,
        "unjudged": 0.0,
    }


@pytest.mark.parametrize(("reference", "other"), [("(1,2)", "(12)"), ("0,1", "01"), ("[0,5]", "[05]"), ("yes", "no")])
@pytest.mark.parametrize("answers", ["boxed", "answer"])
def test_another_answer_stays_wrong(scores: dict[str, Score], answers: str, reference: str, other: str) -> None:
    completions = [STATED[answers].format(other), STATED[answers].format(reference)]
    assert scores[answers]({"id": "p", "final_answer": reference}, [completions]) == {
        "exact_match": 0.5,
        "unjudged": 0.0,
    }


@pytest.mark.parametrize("answers", ["gsm8k", "boxed", "answer"])
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reference=st.text("yes12,.-$%{}\\\n#: "))
def test_what_can_be_earned_before_a_run_is_counted_after_it(
    scores: dict[str, Score], answers: str, reference: str
) -> None:
    stated = {STATED[answers].format(text) for text in (reference, clean_answer(reference))}
    counted = any(scores[answers]({"id": "p", "final_answer": reference}, [[text]])["exact_match"] for text in stated)
    assert counted or not heldout_verifier(answers).can_be_earned(reference)


@pytest.mark.slow
@pytest.mark.parametrize("answers", ["boxed", "answer"])
def test_reward_and_benchmark_give_the_same_verdict_on_every_pair(scores: dict[str, Score], answers: str) -> None:
    pairs = [pair for table in (EQUAL, DIFFERENT) for group in table.values() for pair in group]
    assert len(pairs) > 100
    texts = [STATED[answers].format(answer) for answer, _ in pairs]
    benchmark = [
        scores[answers]({"id": "p", "final_answer": reference}, [[text]])["exact_match"]
        for text, (_, reference) in zip(texts, pairs, strict=True)
    ]
    responses = [
        Response(text, Problem("p", "?", "", reference), 5) for text, (_, reference) in zip(texts, pairs, strict=True)
    ]
    with open_math_reward(MathReward(kind="math", formats=(answers,))) as reward:
        assert reward.values(responses) == benchmark
    assert benchmark == [1.0] * sum(map(len, EQUAL.values())) + [0.0] * sum(map(len, DIFFERENT.values()))

"""pass@k is the share of all choices of k answers with a right one, and maj@k what most answers say."""

import itertools
from dataclasses import replace

import pytest

from gift.evaluation.answers import Answer
from gift.evaluation.sampled import majority_is_right, pass_at_k, powers_of_two, sampled_metrics
from gift.evaluation.statistics import mean_and_stderr
from tests.gift.evaluation.test_answers_file import ANSWER


@pytest.mark.parametrize(("answers", "right"), [(n, c) for n in range(1, 8) for c in range(n + 1)])
def test_pass_at_k_is_the_share_of_choices_with_a_right_answer(answers: int, right: int) -> None:
    marks = [True] * right + [False] * (answers - right)
    for k in range(1, answers + 1):
        choices = list(itertools.combinations(marks, k))
        assert pass_at_k(right, answers, k) == pytest.approx(sum(any(chosen) for chosen in choices) / len(choices))


@pytest.mark.parametrize(("right", "answers", "k"), [(1, 4, 0), (1, 4, 5), (5, 4, 1), (-1, 4, 1)])
def test_pass_at_k_of_answers_that_are_not_there_is_refused(right: int, answers: int, k: int) -> None:
    with pytest.raises(ValueError, match="answers"):
        pass_at_k(right, answers, k)


def _answers(*said: str | None, reference: str = "2") -> list[Answer]:
    return [
        replace(ANSWER, sample=place, answer=answer, score=float(answer in (reference, f"{reference}.0")))
        for place, answer in enumerate(said)
    ]


@pytest.mark.parametrize(
    ("said", "share"),
    [
        (("2", "2", "3"), 1.0),
        (("2", "3", "3"), 0.0),
        (("2", "2.0", "3", "3", "3"), 0.0),
        (("2", "2.0", "2", "3", "3"), 1.0),  # right is right, however it is written
        (("2", "3"), 0.5),  # as frequent
        (("2", "3", "4"), 1 / 3),
        (("2", None, None, None), 1.0),  # no answer, no vote
        ((None, None), 0.0),
        (("3", None), 0.0),
    ],
)
def test_the_majority_decides(said: tuple[str | None, ...], share: float) -> None:
    assert majority_is_right(_answers(*said)) == pytest.approx(share)


def test_the_summary_has_every_figure_with_its_error_over_problems() -> None:
    problems = {"p1": _answers("2", "2", "3", None), "p2": _answers("3", "3", "2", "4"), "p3": _answers(*4 * ["5"])}
    problems["p1"][3] = replace(problems["p1"][3], truncated=True, tokens=9)
    found = sampled_metrics(problems)
    assert found["truncated"] == found["no_answer"] == 1 / 12
    assert found["mean_completion_tokens"] == pytest.approx((11 * 5 + 9) / 12)
    for k in (1, 2, 4):
        shares = [pass_at_k(right, 4, k) for right in (2, 1, 0)]
        assert (found[f"pass@{k}"], found[f"pass@{k}_stderr"]) == pytest.approx(mean_and_stderr(shares))
    assert found["maj@2"] == pytest.approx(((1 + 0) / 2 + (0 + 0.5) / 2 + 0) / 3)  # 2 2 | 3 –, 3 3 | 2 4, 5 5 | 5 5
    assert (found["maj@4"], found["maj@4_stderr"]) == pytest.approx(mean_and_stderr([1.0, 0.0, 0.0]))


def test_one_answer_has_no_pass_at_k() -> None:
    assert sampled_metrics({"p1": _answers("2"), "p2": _answers("3")}).keys() == {
        "truncated",
        "no_answer",
        "mean_completion_tokens",
    }


def test_k_doubles_up_to_all_answers() -> None:
    assert [powers_of_two(most) for most in (1, 2, 6, 8, 32)] == [
        [1],
        [1, 2],
        [1, 2, 4, 6],
        [1, 2, 4, 8],
        [1, 2, 4, 8, 16, 32],
    ]

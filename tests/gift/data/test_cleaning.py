"""What counts as the same question."""

import pytest

from gift.data.cleaning import cleaned, normalised
from gift.data.problems import Problem


def _problem(question: str, final_answer: str = "1") -> Problem:
    return Problem(question, question, "", final_answer)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("Find $x$.", "find\n $x$ .", True),
        ("Find $x + 1$.", r"Find \(x+1\)", False),
        ("Find 3 + 4.", "Find 3 - 4.", False),
        ("Find x.", "Find y.", False),
        ("Find 3 pears.", "Find ３ pears.", True),
        ("What is 5²?", "What is 52?", False),
        ("Caf\u00e9?", "Cafe\u0301?", True),
        ("Find\u200b the num\u00adber.", "Find the number.", True),
    ],
)
def test_a_question_is_the_same_whatever_its_white_space_case_and_form(left: str, right: str, same: bool) -> None:
    assert (normalised(left) == normalised(right)) is same


def test_what_is_dropped_is_counted_once_by_its_first_reason() -> None:
    problems = [_problem("a"), _problem("A "), _problem("b"), _problem("b", "2"), _problem("d")]
    kept, dropped = cleaned(problems)
    assert [problem.question for problem in kept] == ["a", "d"]
    assert dropped == {"conflicting_answers": 2, "duplicates": 1}


def test_nothing_is_dropped_without_a_reason() -> None:
    problems = [_problem("Find 3 + 4."), _problem("Find 3 - 4.")]
    assert cleaned(problems) == (problems, {"conflicting_answers": 0, "duplicates": 0})

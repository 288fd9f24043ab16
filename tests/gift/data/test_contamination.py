"""Which benchmark problems a row to train on holds."""

import pytest

from gift.data.contamination import Contamination, count_matches, index_problems, matches_of
from gift.data.problems import Problem
from gift.data.scored import ScoredProblem

LONG = (
    r"Let $f(x) = x^2 + 3x - 4$ and $g(x) = 2x + 1$. Find the sum of all real numbers $x$ for which "
    r"$f(g(x)) = g(f(x))$ and $x > 0$."
)
IN_OTHER_LATEX = (
    r"let \(f(x)=x^{2}+3x-4\) and \(g(x)=2x+1\). Find the sum of all real numbers \(x\) for which "
    r"\[f(g(x))=g(f(x))\] and \(x>0\)"
)
CHINESE = "小明有3个苹果，又买了5个苹果，请问一共有几个苹果？"


def _problem(question: str, answer: str = "") -> Problem:
    return Problem(question[:20], question, answer, "1")


def _matches(row: Problem | ScoredProblem, *questions: str) -> list[bool]:
    """`whole` of each match."""
    return [match.whole for match in matches_of(row, index_problems({"math": [_problem(q) for q in questions]}))]


@pytest.mark.parametrize(
    ("trained_on", "asked", "whole"),
    [
        ("Find $x + 1$.", r"find \(x+1\)", [True]),
        ("Find 3 + 4.", "Find 3 - 4.", [False]),  # the same words
        ("Find 3 + 4 for Tom.", "Find 3 + 4.", []),  # a short one may stand in a longer one by chance
        ("求 $n$ 的值", "求$n$的值。", [True]),
        ("Ｆｉｎｄ ３ + ４．", "Find 3 + 4.", [True]),
        ("Find $5^2$.", "Find 5².", [True]),
        ("Find 52.", "Find 5².", []),
        ("Wie gro\u00df ist ein Gem\u00fcsebeet?", "Wie gro\u00df ist ein Gemu\u0308sebeet?", [True]),
        ("Fi\u200bnd the num\u00adber.", "Find the number.", [True]),
        (CHINESE.replace("3", " 3 ").replace("5", " 5 "), CHINESE, [True]),
        (f"{CHINESE}请逐步思考。", CHINESE, [True]),
        (CHINESE.replace("3", "4"), CHINESE, [False]),
        ("小明有几个苹果？", "小红有几个苹果？", []),
        ("แดงมีแอปเปิ้ล 3 ผลซื้ออีก 5 ผลรวมกี่ผล", "แดงมีแอปเปิ้ล3ผล ซื้ออีก5ผล รวมกี่ผล", [True]),
        (
            "사과가 3개 있고 5개를 더 샀습니다. 모두 몇 개입니까? 답하세요.",
            "사과가 3개 있고 5개를 더 샀습니다. 모두 몇개입니까?",
            [True],
        ),
        ("Find x.", "Find y.", []),
        (LONG, IN_OTHER_LATEX, [True]),
        (f"Solve this, please: {LONG} Give an integer.", IN_OTHER_LATEX, [True]),
        (LONG, LONG.replace("x > 0", "x < 0"), [False]),
        (LONG, LONG.replace("$x > 0$", "$y > 8$"), [False]),
        (LONG, LONG[: LONG.index("Find")] + "What is the least value of their product, and where is it taken?", []),
        ("", "", []),
    ],
)
def test_a_problem_is_trained_on_overlaps_or_is_another(trained_on: str, asked: str, whole: list[bool]) -> None:
    assert _matches(_problem(trained_on), asked) == whole


def test_worked_answers_and_responses_are_read_too() -> None:
    assert _matches(_problem("A?", f"It is like this: {LONG}"), LONG) == [True]
    assert _matches(ScoredProblem("s", "A?", "", "", ("No.", LONG), (0.0, 1.0)), LONG) == [True]
    half = len(LONG) // 2
    assert _matches(_problem(LONG[:half], LONG[half:]), LONG) == []  # in two texts it is no problem


def test_a_problem_counts_once_however_many_rows_have_it() -> None:
    benchmarks = {"math": [_problem(LONG), _problem("Find y."), _problem("Find y.")], "gsm8k": [_problem("Who?")]}
    index = index_problems(benchmarks)
    rows = [_problem(LONG), _problem(LONG.replace("> 0", "< 0")), _problem("find y")]
    matches = [match for row in rows for match in matches_of(row, index)]
    assert count_matches(matches, index) == {"math": Contamination(3, 3, 3), "gsm8k": Contamination(1, 0, 0)}
    assert count_matches(matches[1:2], index)["math"] == Contamination(3, 0, 1)

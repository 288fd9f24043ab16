r"""Right answers are right in whatever form they are written, wrong ones never are, whichever side is which."""

import time
from fractions import Fraction

import pytest
from answer_pairs import DIFFERENT, EQUAL
from hypothesis import given, settings
from hypothesis import strategies as st

from gift.judge.equality import LONGEST_ANSWER, equal


def _cases(table: dict[str, list[tuple[str, str]]]) -> list[tuple[str, str]]:
    return [pair for pairs in table.values() for pair in pairs]


@pytest.mark.parametrize(("one", "other"), _cases(EQUAL))
def test_the_same_answer_in_other_words(one: str, other: str) -> None:
    assert equal(one, other)
    assert equal(other, one)


@pytest.mark.parametrize(("one", "other"), _cases(DIFFERENT))
def test_another_answer(one: str, other: str) -> None:
    assert not equal(one, other)
    assert not equal(other, one)


def test_a_text_that_is_too_long_to_be_an_answer_is_only_compared_as_text() -> None:
    long = "1+" * LONGEST_ANSWER + "1"
    assert equal(long, long)
    assert not equal(long, f"{LONGEST_ANSWER + 1}")


@pytest.mark.parametrize("piece", ["°", r"\$", "(", "1 aaaa ", "x<1 or ", "½", "|x|", "x=", ":1"])
def test_what_only_repeats_itself_is_judged_soon(piece: str) -> None:
    start = time.process_time()
    assert not equal(piece * (LONGEST_ANSWER // len(piece)), "41")
    assert time.process_time() - start < 5


@settings(deadline=None)
@given(number=st.fractions(), other=st.fractions())
def test_numbers_are_equal_exactly_when_they_are(number: Fraction, other: Fraction) -> None:
    assert equal(f"{number}", f"{other}") == (number == other)
    assert equal(rf"\frac{{{number.numerator}}}{{{number.denominator}}}", str(number))


@settings(deadline=None)  # the first expression loads the parser's tables
@given(text=st.text("0123456789xyi+-*/^_(){}[],.;=<>!|%$ \\abcdefghorn'\n", max_size=25))
def test_any_text_is_judged_the_same_both_ways_and_equals_itself(text: str) -> None:
    assert equal(text, text)
    assert equal(text, "41") == equal("41", text)

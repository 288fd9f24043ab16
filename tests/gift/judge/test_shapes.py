"""What may be mathematics is not compared as words."""

import pytest

from gift.judge.equality import equal


@pytest.mark.parametrize(
    ("one", "other"),
    [("a-b-c", "-b+a-c"), ("ab-c", "-c+ab"), ("xyz-w", "-w+xyz"), ("A - BC", "-BC+A"), ("a-b-c", "a-(b+c)")],
)
def test_a_difference_of_letters_is_no_word(one: str, other: str) -> None:
    assert equal(one, other)
    assert equal(other, one)


@pytest.mark.parametrize(("one", "other"), [("Twenty-One", "twenty-one"), ("North-East", r"\text{north-east}")])
def test_a_word_with_a_hyphen_is_one(one: str, other: str) -> None:
    assert equal(one, other)
    assert not equal(one, f"{other}s")


@pytest.mark.parametrize(("option", "letter"), [("(B) False", "B"), ("C. forty", "C"), ("(E) None of these", "E")])
def test_the_text_of_an_option_takes_nothing_back(option: str, letter: str) -> None:
    assert equal(option, letter)

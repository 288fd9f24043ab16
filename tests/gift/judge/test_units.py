"""A unit is what a number counts; a second number, another unit or a denial behind it is none."""

import pytest

from gift.judge.equality import equal


@pytest.mark.parametrize(
    "words",
    [
        *("sixteenths", "thirteenths", "twentieths", "hundreths", "hundredths", "twelths", "thousanths", "eigths"),
        *("quadrillions", "sextillion dollars", "gazillions", "fourty apples", "twentyfive apples", "nineties"),
        *("seventeen apples", "point twenty apples", "miles per sixteen hours", "zeroes", "myriads", "grosses"),
    ],
)
def test_a_word_for_a_number_is_no_unit(words: str) -> None:
    for answer in (f"5 {words}", rf"5\text{{ {words}}}"):
        assert not equal(answer, "5")
        assert not equal("5", answer)


@pytest.mark.parametrize(
    "answer",
    [
        *("5 hours thirty minutes", "5 dollars fifty cents", "$5 twenty cents", "5 feet thirteen inches"),
        *("5 hours thrity minutes", "5 feet umpteen inches", "5 weeks sunday days"),
    ],
)
def test_a_second_unit_is_not_read_over(answer: str) -> None:
    assert not equal(answer, "5")


@pytest.mark.parametrize(
    "words",
    [
        *("false apples", "fake apples", "untrue answers", "including fractions", "anti apples", "bogus weeks"),
        *("rejected values", "extraneous solutions", "excluded values", "discarded answers", "nonsense guesses"),
        *("impossible values", "refuted results", "unheard-of solutions"),
    ],
)
def test_what_takes_a_value_back_is_no_unit(words: str) -> None:
    assert not equal(f"5 {words}", "5")


@pytest.mark.parametrize(
    "words",
    [
        *("red apples", "months", "paths", "cloths", "teeth", "real solutions", "distinct integer values", "answers"),
        *("solutions of the equation", "answers per hour", "degrees Celsius", "foot pounds", "gallon buckets", "feet"),
        *("hours in total", "glass bottles", "square feet of tiles", "dollars an hour", "empty boxes", "seconds"),
        *("eggs each day", "hours this week", "days in a week"),
    ],
)
def test_what_a_number_counts_is_its_unit(words: str) -> None:
    assert equal(f"5 {words}", "5")
    assert equal("5", f"5 {words}")

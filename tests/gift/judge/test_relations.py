"""`x = 5` is 5 if its other side is a name, and a word that denies is none."""

import pytest

from gift.judge.equality import equal


@pytest.mark.parametrize(
    "words",
    [
        *("not", "neg", "wrong", "No", "never", "incorrect", "false", "approximately", "twenty", "sixteenths"),
        *(r"\text{not}", r"\text{is not}", r"\text{six}", r"\text{twenty six}", r"\text{wrong answer}"),
    ],
)
def test_what_denies_or_counts_is_no_name(words: str) -> None:
    for answer in (f"{words} = 5", f"5 = {words}"):
        assert not equal(answer, "5")
        assert not equal("5", answer)


@pytest.mark.parametrize(
    "name",
    [
        *("x", "e", "NO", "AB", "Area", "Beth", "Total", "Maximum", "remainder", "answer", "f(x)", "x_{max}", "|AB|"),
        *(r"\text{third term}", r"\text{minimum value}", r"\text{number of wrong answers}", r"\angle ABC"),
    ],
)
def test_what_names_a_value_is_left_out(name: str) -> None:
    assert equal(f"{name} = 5", "5")

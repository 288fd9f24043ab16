"""A text reaches a terminal as one line: what could act there is shown, and our own sentences stay as they are."""

import pytest

from gift.errors import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GIFT 38.1\u00a0%, 2.5\u00a0± 1", "GIFT 38.1\u00a0%, 2.5\u00a0± 1"),
        ("a\nb\u00a0c", "a\\nb\u00a0c"),
        ("\x1b[2J\u202e\ud800", "\\x1b[2J\\u202e\\ud800"),
    ],
)
def test_what_could_act_is_escaped_and_a_space_that_does_not_break_is_not(text: str, shown: str) -> None:
    assert printable(text) == shown

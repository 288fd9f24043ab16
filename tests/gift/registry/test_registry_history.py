"""The history as tags: whom a rollback goes back to, and lines that are damaged or missing."""

from datetime import UTC, datetime

import pytest

from gift.errors import GiftError
from gift.registry import Move, MoveKind, champion_before, former_champions, read_history


def history(*moves: str) -> list[Move]:
    """From "3" (promoted), "<3" (rolled back to) and "-" (taken away by hand)."""
    lines: list[Move] = []
    for number, text in enumerate(moves, start=1):
        version = None if text == "-" else text.removeprefix("<")
        kind: MoveKind = "rollback" if text[0] == "<" else "by hand" if version is None else "promotion"
        before = lines[-1].version if lines else None
        lines.append(
            Move(
                number=number,
                version=version,
                instead_of=before,
                kind=kind,
                reason="r",
                by="b",
                at=datetime(2026, 11, 30, tzinfo=UTC),
                done=True,
            )
        )
    return lines


@pytest.mark.parametrize(
    ("moves", "before"),
    [
        ((), None),
        (("1",), None),
        (("1", "2", "3"), "2"),
        (("1", "2", "3", "<2"), "1"),  # and not 3, which was taken back
        (("1", "2", "3", "<2", "<1"), None),
        (("1", "2", "3", "<1"), None),
        (("1", "2", "3", "<2", "4"), "2"),
        (("1", "2", "1"), "2"),  # promoted once more, which is no rollback
        (("1", "2", "1", "<2"), "1"),
        (("1", "2", "-"), "2"),  # gives back what was taken away
        (("1", "-", "2"), "1"),
    ],
)
def test_whom_a_rollback_goes_back_to(moves: tuple[str, ...], before: str | None) -> None:
    lines = history(*moves)
    assert champion_before(lines, lines[-1].version if lines else None) == before


def test_all_former_champions_are_known() -> None:
    assert former_champions(history("1", "2", "-", "3", "<2")) == {"1", "2", "3"}


def test_a_history_is_read_as_it_was_written() -> None:
    lines = history(*(str(number) for number in range(1, 12)))
    assert read_history("model", {line.tag: line.model_dump_json() for line in reversed(lines)} | {"a": "b"}) == lines


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"gift.champion.000002": None}, "the history of model has no line 2"),
        ({"gift.champion.000003": "{"}, "the tag gift.champion.000003 .* is no line of its history"),
        ({"gift.champion.000003": history("1")[0].model_dump_json()}, "says that it is line 1"),
    ],
)
def test_a_damaged_history_names_the_tag(damage: dict[str, str | None], message: str) -> None:
    tags = {line.tag: line.model_dump_json() for line in history("1", "2", "3")} | damage
    with pytest.raises(GiftError, match=message):
        read_history("model", {key: text for key, text in tags.items() if text is not None})

"""The table of docs/rewards.md says what the judge says."""

import itertools
import re
from pathlib import Path

import pytest

from gift.judge.equality import equal

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "rewards.md").read_text(encoding="utf-8")


def _pairs(column: int) -> list[tuple[str, str]]:
    """Neighbours with a comma between them are compared, those with a semicolon are not."""
    table = PAGE[PAGE.index("## What is equal") : PAGE.index("\nHedges")].replace(r"\|", "¦")
    cells = [row.split("|")[column] for row in table.splitlines() if row.startswith("| ")]
    groups = [group for cell in cells for group in re.split(r"(?<=`); (?=`)", cell.replace("¦", "|"))]
    examples = [re.findall(r"`([^`]+)`", group) for group in groups]
    return [pair for group in examples for pair in itertools.combinations(group, 2)]


@pytest.mark.parametrize(("one", "other"), _pairs(2))
def test_what_the_page_calls_equal_is(one: str, other: str) -> None:
    assert equal(one, other)


@pytest.mark.parametrize(("one", "other"), _pairs(3))
def test_what_the_page_calls_not_equal_is_not(one: str, other: str) -> None:
    assert not equal(one, other)


def test_the_page_gives_examples() -> None:
    assert len(_pairs(2)) > 20
    assert len(_pairs(3)) > 15

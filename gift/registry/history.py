"""The list of all champions of a registered model, as tags of that model: `gift.champion.000001`, and so on.

Each line names the champion that it replaced, so that a line that is missing would show. Left out: writing it, which
only `moves` does.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from gift.errors import GiftError

HISTORY_TAG = "gift.champion."
"""How the tags begin; their number has six digits, so that MLflow's page sorts them."""

MoveKind = Literal["promotion", "rollback", "by hand"]
"""`by hand`: somebody moved the alias without this program, which found that out later."""


class Move(BaseModel):
    """One line of the history: the alias `champion` goes from one version to another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    """From 1 on, without gaps."""
    version: str | None
    """The new champion; None where somebody took the alias away by hand."""
    instead_of: str | None
    """The champion until then; None where there was none."""
    kind: MoveKind
    reason: str
    by: str
    """A run, or who gave the command."""
    at: AwareDatetime
    done: bool
    """False from the moment before the alias moves until all that follows from it is done as well."""

    @property
    def tag(self) -> str:
        return f"{HISTORY_TAG}{self.number:06}"


def read_history(name: str, tags: Mapping[str, str]) -> list[Move]:
    """The lines among the tags of the registered model `name`, the oldest first.

    Raises:
        GiftError: a line is damaged or missing.
    """
    lines = [_read_line(name, key, tags[key]) for key in sorted(tags) if key.startswith(HISTORY_TAG)]
    for number, line in enumerate(lines, start=1):
        if line.number != number:
            raise GiftError(
                f"the history of {name} has no line {number}: the tag {HISTORY_TAG}{number:06} of the registered model "
                "was removed; write it again on MLflow's page, from a backup or after the pattern of the others"
            )
    return lines


def _read_line(name: str, key: str, text: str) -> Move:
    try:
        line = Move.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"]) or "its text"
        raise GiftError(
            f"the tag {key} of the registered model {name} is no line of its history ({place}: {fault['msg']}); "
            "correct it on MLflow's page"
        ) from None
    if line.tag != key:
        raise GiftError(f"the tag {key} of the registered model {name} says that it is line {line.number}; correct it")
    return line


def champion_before(history: Sequence[Move], reigning: str | None) -> str | None:
    """Whom a rollback makes champion again: after two of them the one before the last two, and not the last one.

    `reigning` is the champion now; None where somebody took the alias away, which a rollback gives back.
    """
    line_of_succession: list[str] = []
    for move in history:
        if move.version is None:
            continue
        if move.kind == "rollback" and move.version in line_of_succession:
            del line_of_succession[line_of_succession.index(move.version) + 1 :]
        elif line_of_succession[-1:] != [move.version]:
            line_of_succession.append(move.version)
    if line_of_succession[-1:] == [reigning]:
        line_of_succession.pop()
    return line_of_succession[-1] if line_of_succession else None


def former_champions(history: Sequence[Move]) -> set[str]:
    """All versions that ever were champion."""
    return {move.version for move in history if move.version is not None}

"""Promotions and rollbacks that a person commands, with a reason that stays in the history.

A person may overrule the gate, and says so (`force`). Nobody may promote weights that are not there, damaged or not
finite, so all of them are read first, which takes as long as a download. Left out: deciding for the person.
"""

import getpass
from collections.abc import Callable
from dataclasses import dataclass

from gift import registry
from gift.errors import GiftError
from gift.execution.stage import downloaded
from gift.gate.verdict import VERDICT_FILE, Verdict
from gift.promotion.announce import announce
from gift.promotion.registered_weights import check_registered_weights
from gift.registry import Move
from gift.tracking.entities import ModelVersion


@dataclass(frozen=True)
class Command:
    """What a person wants with a registered model."""

    name: str
    reason: str
    expected: str | None
    """The version that must be champion; None if there must be none, or `registry.ANYONE`."""

    def __post_init__(self) -> None:
        """Raises: GiftError: there is no reason, or it is too long to be kept."""
        if not self.reason.strip():
            raise GiftError("--reason is empty; say in a sentence why, for those who read the history")
        if len(self.reason) > registry.LONGEST_REASON or not self.reason.isprintable():
            raise GiftError(f"--reason must be one line of at most {registry.LONGEST_REASON:,} characters")


def promote_version(command: Command, version: str, tell: Callable[[str], None], *, force: bool) -> Move | None:
    """Make a version champion. None: it is already.

    Args:
        tell: called with a line about what takes long.
        force: also where the gate was against it, or has never judged it.

    Raises:
        GiftError: there is no such model or version; its checkpoint is not there, damaged or not finite; the gate has
            not judged it, or was against it; another champion than the expected one reigns; or a service failed.
    """
    registry.registered_model(command.name)
    registered = registry.registered_version(command.name, version)
    if not force:
        _require_verdict(command.name, registered)
    check_registered_weights(command.name, registered, tell)
    return _move(command, version, command.expected, "promotion")


def roll_back(command: Command, to: str | None, tell: Callable[[str], None]) -> Move | None:
    """Make a former champion champion again: `to`, or the one before the reigning one. None: it is already.

    The reigning champion must stay the same from the look at the history to the move.

    Raises:
        GiftError: there is no such model, or no former champion; `to` never was one; its checkpoint is not there,
            damaged or not finite; another champion than the expected one reigns; or a service failed.
    """
    view = registry.registered_model(command.name)
    target = to if to is not None else registry.champion_before(view.history, view.reigning)
    if target is None:
        raise GiftError(
            f"{command.name} has no earlier champion to go back to: "
            + (f"version {view.reigning} is the first" if view.reigning else "no version ever was champion")
        )
    registered = registry.registered_version(command.name, target)
    if target not in registry.former_champions(view.history):
        raise GiftError(
            f"version {target} of {command.name} never was champion, so there is no going back; use `gift promote`"
        )
    check_registered_weights(command.name, registered, tell)
    expected = view.reigning if command.expected == registry.ANYONE else command.expected
    return _move(command, target, expected, "rollback")


def _move(command: Command, version: str, expected: str | None, kind: registry.MoveKind) -> Move | None:
    return registry.move_champion(
        command.name,
        version,
        instead_of=expected,
        kind=kind,
        reason=command.reason,
        by=_whoami(),
        tell=lambda move: announce(command.name, move),
    )


def _require_verdict(name: str, version: ModelVersion) -> None:
    """Raises: GiftError: no gate has judged the version, or one was against it."""
    what, uri = f"version {version.version} of {name}", version.tags.get(registry.VERDICT_TAG)
    if uri is None:
        raise GiftError(f"no gate has judged {what}; promote it all the same with --force, and say why in --reason")
    try:
        with downloaded(uri) as folder:
            verdict = Verdict.model_validate_json((folder / VERDICT_FILE).read_bytes())
    except (GiftError, OSError, ValueError) as fault:
        raise GiftError(
            f"the gate's verdict on {what} can't be read ({fault}); promote it all the same with --force, and say "
            "why in --reason"
        ) from fault
    if verdict.decision == "keep":
        raise GiftError(
            f"the gate was against {what}: {verdict.sentence} {' '.join(verdict.reasons)} Promote it all the same with "
            "--force, and say why in --reason"
        )


def _whoami() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's uid without a name
        return "somebody without a user name"

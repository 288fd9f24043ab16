"""Moves the alias `champion`, one process at a time, so that its history has every champion and one reigns.

    lock ──> what an interrupted move has left is finished ──> look: the expected champion? ──> line of the history
         ──> alias ──> look again ──> somebody is told ──> line done ──> unlock

MLflow has no compare-and-set: from the look to the last step one process holds a lock in S3, which the registered model
names. The line comes before the alias (a write-ahead log), so that wherever a process dies, the next one knows what it
was about. Who moves the alias on MLflow's page holds no lock: the next move notes it as a line `by hand`.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from gift.errors import GiftError
from gift.registry.history import Move, MoveKind
from gift.registry.versions import CHAMPION, LOCK_TAG, RegistryView, registered_model
from gift.storage import locked
from gift.tracking.client import MlflowClient
from gift.tracking.faults import explain_errors
from gift.tracking.rest import MlflowError

ANYONE: Final = "anyone"
"""For who replaces the champion, whoever it is."""
MOVE_SECONDS = 60.0
"""More than a request to MLflow takes, with all its repetitions."""
LONGEST_REASON = 1500
"""Characters that are kept: MLflow's table has room for 5,000 bytes in a line of the history."""

Tell = Callable[[Move], None]


class ChampionChangedError(GiftError):
    """Somebody else has moved the alias `champion` since the verdict was reached."""


def move_champion(
    name: str, version: str, *, instead_of: str | None, kind: MoveKind, reason: str, by: str, tell: Tell
) -> Move | None:
    """Point the alias `champion` to a version, with a line in the history. None: it is champion already, so that a
    retried task does not stumble over its own work.

    Args:
        instead_of: the version that must be champion now, e.g. the one that a verdict was reached against; None if
            there must be none; or `ANYONE`.
        reason: for people.
        tell: called once the alias has moved, also for an interrupted move that is finished now; at least once, where
            a process dies in between.

    Raises:
        ChampionChangedError: another version is champion, or none where one was expected, and the alias was not moved;
            or somebody has moved it right after us.
        GiftError: MLflow or S3 is not reachable, or there is no such model or version, or the model names no lock.
    """
    with locked(_lock_of(name)) as lease, explain_errors(f"making version {version} of {name!r} champion"):
        _require_version(name, version)
        view = _finish_interrupted(name, lambda: lease.require(MOVE_SECONDS), tell)
        if view.reigning == version:
            return None
        if instead_of not in (view.reigning, ANYONE):
            raise ChampionChangedError(
                f"{_in_words(view.reigning)} of {name} is champion by now, and {_in_words(instead_of)} was expected; "
                f"look at both, then run again, or `gift promote {name} --version {version}`"
            )
        move = Move(
            number=len(view.history) + 1,
            version=version,
            instead_of=view.reigning,
            kind=kind,
            reason=reason[:LONGEST_REASON],
            by=by,
            at=datetime.now(UTC),
            done=False,
        )
        lease.require(MOVE_SECONDS)
        _write(name, move)
        lease.require(MOVE_SECONDS)
        MlflowClient().set_registered_model_alias(name, CHAMPION, version)
        now = registered_model(name).reigning
        if now != version:
            raise ChampionChangedError(
                f"{_in_words(now)} of {name} was made champion at the same moment as version {version}; look at both, "
                f"then run again, or `gift promote {name} --version {version}`"
            )
        tell(move)
        return _write(name, move.model_copy(update={"done": True}))


def _lock_of(name: str) -> str:
    lock = registered_model(name).lock
    if lock is None:
        raise GiftError(
            f"the registered model {name} has no tag {LOCK_TAG}, as no run of this version has registered a checkpoint "
            f"in it; set it on MLflow's page to an object in your bucket, e.g. s3://gift/locks/champion/{name}"
        )
    return lock


def _require_version(name: str, version: str) -> None:
    """Before the line is written: one that names a version which is not there would have to be taken back."""
    MlflowClient().get_model_version(name, version)


def _finish_interrupted(name: str, require_lock: Callable[[], None], tell: Tell) -> RegistryView:
    """Do what is left of a move whose process died, and note what was done by hand; what the registry says then."""
    view = registered_model(name)
    last = view.history[-1] if view.history else None
    if last is not None and not last.done:
        require_lock()
        if view.reigning == last.instead_of and last.version is not None and not _moved(name, last.version):
            MlflowClient().delete_registered_model_tag(name, last.tag)  # it never was champion, and never can be
            return _finish_interrupted(name, require_lock, tell)
        view = registered_model(name)
        if view.reigning == last.version:
            tell(last)
        _write(name, last.model_copy(update={"done": True}))
    if view.reigning != (last.version if last else None):
        _write(
            name,
            Move(
                number=len(view.history) + 1,
                version=view.reigning,
                instead_of=last.version if last else None,
                kind="by hand",
                reason="somebody moved the alias without gift; found before the next move",
                by="unknown",
                at=datetime.now(UTC),
                done=True,
            ),
        )
    return registered_model(name)


def _moved(name: str, version: str) -> bool:
    """False where the version was deleted meanwhile."""
    try:
        MlflowClient().set_registered_model_alias(name, CHAMPION, version)
    except MlflowError as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True


def _write(name: str, move: Move) -> Move:
    MlflowClient().set_registered_model_tag(name, move.tag, move.model_dump_json())
    return move


def _in_words(version: str | None) -> str:
    return "no version" if version is None else f"version {version}"

"""The MLflow model registry: a version points to a checkpoint in S3, an alias says what it is used for.

`challenger` is the latest candidate, `champion` the model that the gate let through. Only `promote` moves `champion`;
the version that it replaces is written on the new one, so that a rollback knows where to go.

Left out on purpose: copying or loading models. The registry holds the `s3://` URI, and the reader's own credentials
open it. May import `tracking`, `storage` and `errors`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gift.errors import GiftError
from gift.storage import locked
from gift.tracking.client import MlflowClient
from gift.tracking.faults import allow_existing, explain_errors
from gift.tracking.rest import MlflowError

CHAMPION: Literal["champion"] = "champion"
CHALLENGER: Literal["challenger"] = "challenger"
PREVIOUS_CHAMPION_TAG = "previous_champion"
MOVE_SECONDS = 60.0
"""More than a request to MLflow takes, with all its repetitions."""
OWN_TAGS = "gift."
"""How the tags of a registration begin; the tags of people and of `promote` do not."""


class ChampionChangedError(GiftError):
    """Somebody else has moved the alias `champion` since the verdict was reached."""


@dataclass(frozen=True)
class Champion:
    """The model version that carries the alias `champion`."""

    version: str
    source_uri: str
    tags: dict[str, str]


@dataclass(frozen=True)
class Standing:
    """What the registry says about a version: its alias (`champion` where it has both) and its tags."""

    alias: Literal["champion", "challenger"] | None
    tags: dict[str, str]


def register(name: str, source_uri: str, run_id: str, tags: Mapping[str, str]) -> str:
    """Register the checkpoint at `source_uri` (`s3://…`) and return its version; a second call returns the same one.

    A version that is there already gets the new tags, and loses those of `OWN_TAGS` that are not among them. MLflow
    keeps the `run_id` of its first registration; so a tag should name the run, too. The registered model is created
    when it is missing. `run_id` is the MLflow run that made the checkpoint.

    Raises:
        GiftError: MLflow is not reachable, or refuses the name or the URI.
    """
    with explain_errors(f"registering {source_uri} as {name!r}"):
        client = MlflowClient()
        with allow_existing():
            client.create_registered_model(name)
        registered = client.search_model_versions(f"name = '{name}' and source_path = '{source_uri}'")
        if registered:
            version = registered[0].version
            _replace_own_tags(name, version, registered[0].tags, tags)
            return version
        created = client.create_model_version(
            name,
            source_uri,
            run_id,
            tags=dict(tags),
            description=f"GIFT checkpoint at {source_uri}",
        )
        return created.version


def set_tag(name: str, version: str, key: str, value: str) -> None:
    """Write a tag on a version.

    Raises:
        GiftError: MLflow is not reachable, or has no such version.
    """
    with explain_errors(f"setting the tag {key} of version {version} of {name!r}"):
        MlflowClient().set_model_version_tag(name, version, key, value)


def set_challenger(name: str, version: str) -> None:
    """Point the alias `challenger` to a version.

    Raises:
        GiftError: MLflow is not reachable, or has no such version.
    """
    with explain_errors(f"making version {version} of {name!r} the challenger"):
        MlflowClient().set_registered_model_alias(name, CHALLENGER, version)


def promote(name: str, version: str, instead_of: str | None, lock: str) -> None:
    """Point the alias `champion` to a version, and write the version that it replaces on its tag `previous_champion`.

    Promoting the reigning champion again changes nothing, so that a retried task does not stumble over its own work.
    MLflow has no compare-and-set: one promotion at a time holds `lock` from its look at the champion to its move.
    Whoever moves the alias by hand holds none; a look after the move tells.

    Args:
        instead_of: the version that must be champion now, i.e. the one that the verdict was reached against; or None.
        lock: an object in S3, the same for all who promote versions of this model.

    Raises:
        ChampionChangedError: another version is champion, or none where one was expected, and the alias was not moved;
            or somebody has moved it right after us.
        GiftError: MLflow or S3 is not reachable, or there is no such version.
    """
    with locked(lock) as lease:
        reigning = _reigning_version(name)
        if reigning == version:
            return
        if reigning != instead_of:
            raise ChampionChangedError(
                f"{_in_words(reigning)} of {name} is champion by now, and the verdict was reached against "
                f"{_in_words(instead_of)}; run again, or promote version {version} by hand"
            )
        with explain_errors(f"promoting version {version} of {name!r}"):
            client = MlflowClient()
            # The tag first: an alias that moved without it could not be rolled back.
            if reigning is not None:
                client.set_model_version_tag(name, version, PREVIOUS_CHAMPION_TAG, reigning)
            lease.require(MOVE_SECONDS)
            client.set_registered_model_alias(name, CHAMPION, version)
        now = _reigning_version(name)
    if now != version:
        raise ChampionChangedError(
            f"{_in_words(now)} of {name} was made champion at the same moment as version {version}; look at both, run "
            f"again, or promote version {version} by hand"
        )


def champion(name: str) -> Champion | None:
    """The reigning champion, or None before the first promotion (and before the first registration).

    Raises:
        GiftError: MLflow is not reachable.
    """
    with explain_errors(f"looking up the champion of {name!r}"):
        version = _aliases(name).get(CHAMPION)
        if version is None:
            return None
        model = MlflowClient().get_model_version(name, version)
        return Champion(version=model.version, source_uri=model.source, tags=model.tags)


def standing(name: str, version: str) -> Standing:
    """What the registry says about a version now.

    Raises:
        GiftError: MLflow is not reachable, or has no such version.
    """
    with explain_errors(f"looking up version {version} of {name!r}"):
        aliases = _aliases(name)
        model = MlflowClient().get_model_version(name, version)
    alias = next((alias for alias in (CHAMPION, CHALLENGER) if aliases.get(alias) == version), None)
    return Standing(alias, model.tags)


def _reigning_version(name: str) -> str | None:
    with explain_errors(f"looking up the champion of {name!r}"):
        return _aliases(name).get(CHAMPION)


def _aliases(name: str) -> dict[str, str]:
    """Alias → version; none before the first registration."""
    try:
        return MlflowClient().get_registered_model(name).aliases
    except MlflowError as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}


def _replace_own_tags(name: str, version: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    """A reader in between may see tags of both registrations, but never none."""
    client = MlflowClient()
    for key, value in new.items():
        if old.get(key) != value:
            client.set_model_version_tag(name, version, key, value)
    for key in old:
        if key.startswith(OWN_TAGS) and key not in new:
            client.delete_model_version_tag(name, version, key)


def _in_words(version: str | None) -> str:
    return "no version" if version is None else f"version {version}"

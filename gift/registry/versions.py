"""Versions of a registered model: registered, tagged and looked up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gift.errors import GiftError
from gift.registry.history import Move, read_history
from gift.tracking.client import MlflowClient
from gift.tracking.entities import ModelVersion
from gift.tracking.faults import allow_existing, explain_errors
from gift.tracking.rest import MlflowError

CHAMPION: Literal["champion"] = "champion"
CHALLENGER: Literal["challenger"] = "challenger"
LOCK_TAG = "gift.lock"
"""Tag of a registered model: the object in S3 that all who move its alias `champion` lock."""
OWN_TAGS = "gift."
"""How the tags of a registration begin; those of people do not."""
EVALUATION_TAG = f"{OWN_TAGS}evaluation"
"""Tag of a version: the URI of the results it was judged by."""
VERDICT_TAG = f"{OWN_TAGS}verdict"
"""The URI of the gate's verdict."""
REPORT_TAG = f"{OWN_TAGS}report"
"""The URI of the report of its run, which is written after the registration."""
MODEL_DIGEST_TAG = f"{OWN_TAGS}model_digest"
NOT_PROMOTED_TAG = f"{OWN_TAGS}not_promoted"
"""Why it is not champion although the verdict was for it."""


LONGEST_DESCRIPTION = 5000
"""Characters that MLflow's table has room for."""


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


@dataclass(frozen=True)
class RegistryView:
    """What a registered model says at one moment."""

    reigning: str | None
    """The version with the alias `champion`."""
    history: list[Move]
    lock: str | None
    """What its tag `LOCK_TAG` names."""


def register_version(name: str, source_uri: str, run_id: str, tags: Mapping[str, str], lock: str) -> str:
    """Register the checkpoint at `source_uri` (`s3://…`) and return its version; a second call returns the same one.

    A version that is there already gets the new tags, and loses those of `OWN_TAGS` that are not among them. MLflow
    keeps the `run_id` of its first registration; so a tag should name the run, too. `run_id` is the MLflow run that
    made the checkpoint. The registered model is created when it is missing; whoever creates it decides on its `lock`.

    Raises:
        GiftError: MLflow is not reachable, or refuses the name or the URI.
    """
    with explain_errors(f"registering {source_uri} as {name!r}"):
        client = MlflowClient()
        with allow_existing():
            client.create_registered_model(name, {LOCK_TAG: lock})
        if LOCK_TAG not in client.get_registered_model(name).tags:  # a person created it
            client.set_registered_model_tag(name, LOCK_TAG, lock)
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


def describe_version(name: str, version: str, description: str) -> None:
    """Write what MLflow's page says about a version, as Markdown of at most `LONGEST_DESCRIPTION` characters.

    Raises:
        GiftError: MLflow is not reachable, or has no such version.
    """
    with explain_errors(f"describing version {version} of {name!r}"):
        MlflowClient().update_model_version(name, version, description)


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


def registered_model(name: str) -> RegistryView:
    """What a registered model says now.

    Raises:
        GiftError: MLflow is not reachable, or has no such model; or its history is damaged.
    """
    with explain_errors(f"looking up the registered model {name!r}"):
        try:
            model = MlflowClient().get_registered_model(name)
        except MlflowError as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise GiftError(
                f"MLflow has no registered model {name!r}; a profile names it as registered_model, and the first run "
                "of one registers it"
            ) from None
    return RegistryView(model.aliases.get(CHAMPION), read_history(name, model.tags), model.tags.get(LOCK_TAG))


def registered_version(name: str, version: str) -> ModelVersion:
    """A version of a model that is registered.

    Raises:
        GiftError: MLflow is not reachable, or there is no such version; those that there are, are named.
    """
    versions = {one.version: one for one in registered_versions(name)}
    if version not in versions:
        known = ", ".join(list(versions)[-20:])
        raise GiftError(f"{name} has no version {version}; it has {known or 'none at all'}")
    return versions[version]


def registered_versions(name: str) -> list[ModelVersion]:
    """All versions of a model, the oldest first; none where nothing is registered.

    Raises:
        GiftError: MLflow is not reachable.
    """
    with explain_errors(f"looking up the versions of {name!r}"):
        versions = MlflowClient().search_model_versions(f"name = '{name}'")
    return sorted(versions, key=lambda version: int(version.version))


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

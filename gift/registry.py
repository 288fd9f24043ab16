"""The MLflow model registry: a version is a pointer to a checkpoint in S3, and aliases say what it is used for.

`challenger` is the latest candidate, `champion` the model that the gate let through. Only `promote` moves `champion`;
the version that it replaces is written on the new one, so that a rollback knows where to go.

Left out on purpose: copying or loading models. The registry holds the `s3://` URI, and the reader's own credentials
open it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gift.tracking.client import MlflowClient
from gift.tracking.faults import allow_existing, explain_errors
from gift.tracking.rest import MlflowError

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS_CHAMPION_TAG = "previous_champion"


@dataclass(frozen=True)
class Champion:
    """The model version that carries the alias `champion`."""

    version: str
    source_uri: str
    tags: dict[str, str]


def register(name: str, source_uri: str, run_id: str, tags: Mapping[str, str]) -> str:
    """Register the checkpoint at `source_uri` (`s3://…`) and return its version; a second call returns the same one.

    The registered model is created when it is missing. `run_id` is the MLflow run that made the checkpoint.

    Raises:
        GiftError: MLflow is not reachable, or refuses the name or the URI.
    """
    with explain_errors(f"registering {source_uri} as {name!r}"):
        client = MlflowClient()
        with allow_existing():
            client.create_registered_model(name)
        registered = client.search_model_versions(f"name = '{name}' and source_path = '{source_uri}'")
        if registered:
            return registered[0].version
        created = client.create_model_version(
            name,
            source_uri,
            run_id,
            tags=dict(tags),
            description=f"GIFT checkpoint at {source_uri}",
        )
        return created.version


def set_challenger(name: str, version: str) -> None:
    """Point the alias `challenger` to a version.

    Raises:
        GiftError: MLflow is not reachable, or has no such version.
    """
    with explain_errors(f"making version {version} of {name!r} the challenger"):
        MlflowClient().set_registered_model_alias(name, CHALLENGER, version)


def promote(name: str, version: str) -> None:
    """Point the alias `champion` to a version, and write the version that it replaces on its tag `previous_champion`.

    Promoting the reigning champion again changes nothing.

    Raises:
        GiftError: MLflow is not reachable, or has no such version.
    """
    reigning = champion(name)
    if reigning is not None and reigning.version == version:
        return
    with explain_errors(f"promoting version {version} of {name!r}"):
        client = MlflowClient()
        # The tag first: an alias that moved without it could not be rolled back.
        if reigning is not None:
            client.set_model_version_tag(name, version, PREVIOUS_CHAMPION_TAG, reigning.version)
        client.set_registered_model_alias(name, CHAMPION, version)


def champion(name: str) -> Champion | None:
    """The reigning champion, or None before the first promotion (and before the first registration).

    Raises:
        GiftError: MLflow is not reachable.
    """
    with explain_errors(f"looking up the champion of {name!r}"):
        client = MlflowClient()
        try:
            version = client.get_registered_model(name).aliases.get(CHAMPION)
        except MlflowError as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        if version is None:
            return None
        model = client.get_model_version(name, version)
        return Champion(version=model.version, source_uri=model.source, tags=model.tags)

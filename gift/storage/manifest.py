"""The manifest of a directory in S3: what belongs to it, and the proof that all of it is there."""

import hashlib
import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gift.storage.client import DirectoryError, Location, connect, error_code, parse_uri, storage_faults

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MANIFEST_NAME = "manifest.json"


class ManifestFile(BaseModel):
    """One file: its path relative to the directory (POSIX), its size in bytes and the sha256 of its content."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @field_validator("path")
    @classmethod
    def stays_inside(cls, path: str) -> str:
        """A manifest from outside must not write outside of the directory it is downloaded to."""
        parts = PurePosixPath(path).parts
        if not parts or parts[0] == "/" or ".." in parts or "\0" in path or str(PurePosixPath(path)) != path:
            raise ValueError("must be a plain relative path")
        if parts[-1] == MANIFEST_NAME:
            raise ValueError(f"the name {MANIFEST_NAME} is taken by the manifest itself")
        return path


class Manifest(BaseModel):
    """What a complete directory holds, and where it came from.

    `step` is the training step of a checkpoint; `parents` are the URIs of the directories it was made from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    attempt: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    """Prefix of the files, below the directory's own; see `gift.storage.attempts`."""
    files: Annotated[tuple[ManifestFile, ...], Field(min_length=1)]
    step: int | None = None
    parents: tuple[str, ...] = ()
    metadata: dict[str, str] = {}
    decided_by: dict[str, str] = {}
    """What the content follows from (code, packages, settings, inputs), so that another one can be told from it."""

    @field_validator("files")
    @classmethod
    def paths_are_distinct(cls, files: tuple[ManifestFile, ...]) -> tuple[ManifestFile, ...]:
        if len({file.path for file in files}) < len(files):
            raise ValueError("a path appears twice")
        return files

    def folder(self, uri: str) -> str:
        """Where the files of the directory `uri` lie under their own paths, for readers that know no manifest."""
        return f"{uri}/{self.attempt}"

    def content(self) -> bytes:
        """The text of `manifest.json`."""
        return self.model_dump_json(indent=1).encode()

    def digest(self) -> str:
        """sha256 over the sorted (path, sha256) pairs: the identity of the content, wherever it lies."""
        pairs = sorted((file.path, file.sha256) for file in self.files)
        return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()


def read_manifest(uri: str) -> Manifest | None:
    """The manifest of the directory, or None when it has none, i.e. is not complete.

    Raises:
        DirectoryError: the manifest is not a valid one.
        GiftError: S3 cannot be read.
    """
    location = parse_uri(uri)
    client = connect()
    with storage_faults(client, location.bucket):
        return stored_manifest(client, location)


def manifest_parents(uri: str) -> tuple[str, ...]:
    """The URIs of what the directory was made from; none where it has no manifest. One of an older form will do, too.

    Raises:
        DirectoryError: the manifest is damaged.
        GiftError: S3 cannot be read.
    """
    location = parse_uri(uri)
    client = connect()
    with storage_faults(client, location.bucket):
        stored = stored_text(client, location)
    if stored is None:
        return ()
    try:
        parents = json.loads(stored[0])["parents"]
        return tuple(str(parent) for parent in parents)
    except (ValueError, LookupError, TypeError) as error:
        raise DirectoryError(f"{uri}/{MANIFEST_NAME} is damaged, so nobody knows what it was made from") from error


def stored_manifest(client: "S3Client", location: Location) -> Manifest | None:
    """The same, with boto3's own exceptions."""
    stored = stored_text(client, location)
    return None if stored is None else parse_manifest(stored[0], location)


def stored_text(client: "S3Client", location: Location) -> tuple[bytes, str] | None:
    """The text of the `manifest.json` of a directory, whatever it is worth, and its ETag; None where there is none."""
    try:
        answer = client.get_object(Bucket=location.bucket, Key=location.key(MANIFEST_NAME))
        return answer["Body"].read(), answer["ETag"]
    except ClientError as error:
        if error_code(error) == "NoSuchKey":
            return None
        raise


def parse_manifest(text: bytes, location: Location) -> Manifest:
    """Raises: DirectoryError: it is not the text of a manifest."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in fault["loc"]) or "its text"
        raise DirectoryError(
            f"s3://{location.bucket}/{location.key(MANIFEST_NAME)} is not valid ({place}: {fault['msg']}): "
            "write the directory again"
        ) from error

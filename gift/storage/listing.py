"""What lies below a URI, whether complete or not, and whether a directory is whole: nobody removed its files."""

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from operator import attrgetter
from typing import TYPE_CHECKING

from gift.storage.client import DirectoryError, Location, connect, parse_uri, storage_faults
from gift.storage.manifest import Manifest, parse_manifest, stored_text
from gift.storage.objects import keys_below

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class StoredObject:
    """One object below a URI."""

    path: str
    """Relative to that URI."""
    size: int
    """Bytes."""
    modified: datetime


@dataclass(frozen=True)
class Listing:
    """What lay below a URI at one moment."""

    objects: tuple[StoredObject, ...]
    now: datetime
    """By S3's own clock, as the times of the objects are."""


def list_paths(uri: str) -> list[str]:
    """Paths of all objects below `uri`, relative to it and sorted; none where there is nothing.

    Raises:
        GiftError: S3 cannot be read.
    """
    location = parse_uri(uri)
    client = connect()
    with storage_faults(client, location.bucket):
        return sorted(key.removeprefix(f"{location.prefix}/") for key in keys_below(client, location))


def list_objects(uri: str) -> Listing:
    """All objects below `uri`, sorted by path, with their sizes and times.

    Raises:
        GiftError: S3 cannot be read.
    """
    location = parse_uri(uri)
    client = connect()
    with storage_faults(client, location.bucket):
        return _list(client, location)


def whole_manifest(uri: str) -> Manifest | None:
    """The manifest of a directory whose files are all there; None where there is none, or not all of it is left.

    Looks at the sizes of the files; their content is verified by whoever downloads them.

    Raises:
        GiftError: S3 cannot be read.
    """
    location = parse_uri(uri)
    client = connect()
    with storage_faults(client, location.bucket):
        return look_up(client, location)[0]


def look_up(client: "S3Client", location: Location) -> tuple[Manifest | None, str | None]:
    """The same, with boto3's own exceptions, and the ETag of the `manifest.json` that is there, valid or not."""
    stored = stored_text(client, location)
    if stored is None:
        return None, None
    text, etag = stored
    try:
        manifest = parse_manifest(text, location)
    except DirectoryError:
        return None, etag
    files = _list(client, Location(location.bucket, location.key(manifest.attempt))).objects
    sizes = {file.path: file.size for file in files}
    whole = all(sizes.get(file.path) == file.size for file in manifest.files)
    return (manifest if whole else None), etag


def _list(client: "S3Client", location: Location) -> Listing:
    found: list[StoredObject] = []
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=location.key(""))
    for page in pages:
        now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
        found += [
            StoredObject(entry["Key"].removeprefix(location.key("")), entry["Size"], entry["LastModified"])
            for entry in page.get("Contents", [])
        ]
    return Listing(tuple(sorted(found, key=attrgetter("path"))), now)

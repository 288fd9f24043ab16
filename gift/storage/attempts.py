"""Who writes a directory: each attempt has a prefix of its own, and the manifest names the one that counts.

    <uri>/<attempt>/<path>    written by one attempt, and never again (beside its files: `companion`)
    <uri>/manifest.json       written once, by the first attempt that is through (S3 refuses the others: If-None-Match)

So two writers of one URI never meet: the one that is later takes what the other has stored, and no reader sees a
directory that is half the one's and half the other's. What attempts that died have left is removed by the next one that
is through. A directory of which a part is gone (a lifecycle rule, a hand) counts as none: the first attempt that is
through takes the place of what is left (If-Match).

Left out: taking an attempt up where it ended; another one starts afresh.
"""

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from gift.storage.client import DirectoryError, Location, error_code, is_taken
from gift.storage.listing import look_up
from gift.storage.manifest import MANIFEST_NAME, Manifest, ManifestFile, stored_manifest
from gift.storage.objects import delete_keys, keys_below

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ATTEMPT = re.compile(r"([0-9a-f]{32})/")


@dataclass(frozen=True)
class About:
    """What a manifest says beside its files; see `Manifest`."""

    step: int | None = None
    parents: Iterable[str] = ()
    metadata: Mapping[str, str] | None = None
    decided_by: Mapping[str, str] | None = None


def write_directory(
    client: "S3Client",
    location: Location,
    send: Callable[[Location], list[ManifestFile]],
    about: About,
    *,
    replace: bool,
) -> Manifest:
    """Have `send` put the files below a location of this attempt's own, and make them the directory at `location`.

    Returns: the manifest that is there then. Unless `replace`, that is another's if it was first, which `send` may then
    not be asked at all.
    """
    if not replace and (there := look_up(client, location)[0]):
        return there
    attempt = uuid.uuid4().hex
    manifest = Manifest(
        attempt=attempt,
        files=tuple(send(Location(location.bucket, location.key(attempt)))),
        step=about.step,
        parents=tuple(about.parents),
        metadata=dict(about.metadata or {}),
        decided_by=dict(about.decided_by or {}),
    )
    return _replace(client, location, manifest) if replace else _be_first(client, location, manifest)


def _be_first(client: "S3Client", location: Location, ours: Manifest) -> Manifest:
    counts, etag = look_up(client, location)
    while counts is None:
        condition: Any = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            client.put_object(Bucket=location.bucket, Key=location.key(MANIFEST_NAME), Body=ours.content(), **condition)
            counts = ours
        except ClientError as error:
            if not is_taken(error) and error_code(error) != "NoSuchKey":  # what we would replace is gone
                raise
            counts, etag = look_up(client, location)  # may be ours, if the answer to a first request was lost
    we_are_first = counts.attempt == ours.attempt
    _remove(client, location, lambda attempt: (attempt != ours.attempt) == we_are_first)
    return counts


def _replace(client: "S3Client", location: Location, ours: Manifest) -> Manifest:
    """Others may be doing the same: the last one wins, and only what we take the place of is removed."""
    try:
        former = stored_manifest(client, location)
    except DirectoryError:  # damaged, which may be why it is replaced
        former = None
    client.put_object(Bucket=location.bucket, Key=location.key(MANIFEST_NAME), Body=ours.content())
    if former is not None:
        _remove(client, location, lambda attempt: attempt == former.attempt)
    return ours


def _remove(client: "S3Client", location: Location, wanted: Callable[[str], bool]) -> None:
    """Remove attempts at `location`, which may have other directories below it."""
    names = ((key, ATTEMPT.match(key.removeprefix(location.key("")))) for key in keys_below(client, location))
    delete_keys(client, location.bucket, sorted(key for key, name in names if name and wanted(name[1])))

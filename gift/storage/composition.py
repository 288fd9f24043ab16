"""A directory put together from others without their bytes leaving S3: what the nodes of a job wrote becomes one.

    parts complete? → objects copied by the server → sizes compared → manifest written, unless another was faster

The sha256 of each file is the one that its part's manifest names, so whoever downloads the whole verifies the copies.
Left out on purpose: parts in another bucket or store, and one path in two parts.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from s3transfer.manager import TransferManager

from gift.errors import GiftError
from gift.storage.attempts import About, write_directory
from gift.storage.client import Location, connect, parse_uri, storage_faults
from gift.storage.manifest import MANIFEST_NAME, Manifest, ManifestFile, read_manifest
from gift.storage.objects import delete_keys, in_parallel, keys_below, open_transfers

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def compose_directory(
    uri: str,
    parts: Sequence[str],
    *,
    step: int | None = None,
    parents: Iterable[str] = (),
    metadata: Mapping[str, str] | None = None,
    decided_by: Mapping[str, str] | None = None,
) -> Manifest:
    """Make the files of all `parts`, which stay as they are, the directory `uri`, unless it is there already.

    Returns: the manifest that is there then.

    Raises:
        GiftError: a part is not complete, two parts have a file of the same path, or S3 failed.
    """
    location = parse_uri(uri)
    sources = _sources(parts)
    client = connect()
    with storage_faults(client, location.bucket):

        def send(place: Location) -> list[ManifestFile]:
            return in_parallel(
                open_transfers(client), lambda transfers, item: _copy(client, transfers, item, place), sources
            )

        about = About(step, parents, metadata, decided_by)
        return write_directory(client, location, send, about, replace=False)


def _copy(
    client: "S3Client", transfers: TransferManager, item: tuple[ManifestFile, Location], place: Location
) -> ManifestFile:
    file, source = item
    key = place.key(file.path)
    transfers.copy({"Bucket": source.bucket, "Key": source.key(file.path)}, place.bucket, key).result()
    size = client.head_object(Bucket=place.bucket, Key=key)["ContentLength"]
    if size != file.size:
        raise GiftError(
            f"s3://{place.bucket}/{key} has {size} bytes, the manifest of its part says {file.size}: "
            "run the stage again"
        )
    return file


def delete_directory(uri: str) -> None:
    """Remove everything below `uri`, manifests first, so that nobody takes the rest for complete.

    Raises:
        GiftError: S3 failed.
    """
    location = parse_uri(uri)
    client = connect()
    with storage_faults(client, location.bucket):
        keys = keys_below(client, location)
        manifests = {key for key in keys if key.endswith(f"/{MANIFEST_NAME}")}
        delete_keys(client, location.bucket, sorted(manifests))
        delete_keys(client, location.bucket, sorted(keys - manifests))


def delete_paths(uri: str, paths: Iterable[str]) -> None:
    """Remove the objects at `paths`, relative to `uri`; those that are gone already are gone.

    Raises:
        GiftError: S3 failed.
    """
    location = parse_uri(uri)
    client = connect()
    with storage_faults(client, location.bucket):
        delete_keys(client, location.bucket, sorted(location.key(path) for path in paths))


def _sources(parts: Sequence[str]) -> list[tuple[ManifestFile, Location]]:
    sources: dict[str, tuple[ManifestFile, Location]] = {}
    for part in parts:
        manifest = read_manifest(part)
        if manifest is None:
            raise GiftError(f"{part} is not complete (no {MANIFEST_NAME}): the node that writes it did not finish")
        for file in manifest.files:
            if file.path in sources:
                raise GiftError(f"{part} and another part both have a file {file.path}: the parts are not of one job")
            sources[file.path] = (file, parse_uri(manifest.folder(part)))
    return list(sources.values())

"""A directory put together from others without their bytes leaving S3: what the nodes of a job wrote becomes one.

    parts complete? → old manifest deleted → objects copied by the server → sizes compared → manifest written

The sha256 of each file is the one that its part's manifest names, so whoever downloads the whole verifies the copies.
Left out on purpose: parts in another bucket or store, and one path in two parts.
"""

from collections.abc import Iterable, Mapping, Sequence

from s3transfer.manager import TransferManager

from gift.errors import GiftError
from gift.storage.client import Location, connect, parse_uri, storage_faults
from gift.storage.manifest import MANIFEST_NAME, Manifest, ManifestFile, read_manifest, write_manifest
from gift.storage.objects import delete_keys, in_parallel, keys_below


def compose_directory(
    uri: str,
    parts: Sequence[str],
    *,
    step: int | None = None,
    parents: Iterable[str] = (),
    metadata: Mapping[str, str] | None = None,
    decided_by: Mapping[str, str] | None = None,
) -> Manifest:
    """Make `uri` hold exactly the files of all `parts`, which stay as they are; none of them may lie below `uri`.

    Raises:
        GiftError: a part is not complete, two parts have a file of the same path, or S3 failed.
    """
    location = parse_uri(uri)
    sources = _sources(parts)
    client = connect()
    with storage_faults(client, location.bucket):
        client.delete_object(Bucket=location.bucket, Key=location.key(MANIFEST_NAME))

        def copy(transfers: TransferManager, item: tuple[ManifestFile, Location]) -> ManifestFile:
            file, source = item
            origin = {"Bucket": source.bucket, "Key": source.key(file.path)}
            transfers.copy(origin, location.bucket, location.key(file.path)).result()
            size = client.head_object(Bucket=location.bucket, Key=location.key(file.path))["ContentLength"]
            if size != file.size:
                raise GiftError(
                    f"{uri}/{file.path} has {size} bytes, the manifest of its part says {file.size}: "
                    "run the stage again"
                )
            return file

        files = in_parallel(client, copy, sources)
        stale = keys_below(client, location) - {location.key(file.path) for file in files}
        delete_keys(client, location.bucket, sorted(stale))
        return write_manifest(
            client, location, files, step=step, parents=parents, metadata=metadata, decided_by=decided_by
        )


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


def _sources(parts: Sequence[str]) -> list[tuple[ManifestFile, Location]]:
    sources: dict[str, tuple[ManifestFile, Location]] = {}
    for part in parts:
        manifest = read_manifest(part)
        if manifest is None:
            raise GiftError(f"{part} is not complete (no {MANIFEST_NAME}): the node that writes it did not finish")
        for file in manifest.files:
            if file.path in sources:
                raise GiftError(f"{part} and another part both have a file {file.path}: the parts are not of one job")
            sources[file.path] = (file, parse_uri(part))
    return list(sources.values())

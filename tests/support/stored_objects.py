"""The objects of a directory in S3, for tests that damage them behind the manifest's back."""

from gift.storage import read_manifest
from gift.storage.client import connect, parse_uri


def object_uri(uri: str, path: str) -> str:
    """Where a file of the directory `uri` lies, or its `manifest.json`."""
    if path == "manifest.json":
        return f"{uri}/{path}"
    manifest = read_manifest(uri)
    assert manifest is not None
    return f"{manifest.folder(uri)}/{path}"


def read_object(uri: str) -> bytes:
    place = parse_uri(uri)
    return connect().get_object(Bucket=place.bucket, Key=place.prefix)["Body"].read()


def write_object(uri: str, content: bytes) -> None:
    place = parse_uri(uri)
    connect().put_object(Bucket=place.bucket, Key=place.prefix, Body=content)


def delete_object(uri: str) -> None:
    place = parse_uri(uri)
    connect().delete_object(Bucket=place.bucket, Key=place.prefix)

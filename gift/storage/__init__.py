"""Directories in S3: moved in parallel, complete only with their `manifest.json`, verified when read.

A directory is named by its URI, `s3://bucket/prefix`. Addresses and credentials come from the environment
(`AWS_ENDPOINT_URL_S3`, `AWS_ACCESS_KEY_ID`, ...), which boto3 reads by itself.

Of two writers of one URI the first one wins, and the other takes what it has written (`attempts`).

Left out on purpose: empty folders and file modes, as what the stages exchange are plain files. May import
`fingerprint`, `host` and `errors`.
"""

from gift.storage.client import DirectoryError, check_storage, put_object
from gift.storage.companion import put_companion
from gift.storage.composition import compose_directory, delete_directory, delete_paths
from gift.storage.listing import Listing, StoredObject, list_objects, list_paths, whole_manifest
from gift.storage.lock import locked, wait_for_lock
from gift.storage.manifest import MANIFEST_NAME, Manifest, ManifestFile, manifest_parents, read_manifest
from gift.storage.transfer import download_directory, download_into, upload_directory

__all__ = [
    "MANIFEST_NAME",
    "DirectoryError",
    "Listing",
    "Manifest",
    "ManifestFile",
    "StoredObject",
    "check_storage",
    "compose_directory",
    "delete_directory",
    "delete_paths",
    "download_directory",
    "download_into",
    "list_objects",
    "list_paths",
    "locked",
    "manifest_parents",
    "put_companion",
    "put_object",
    "read_manifest",
    "upload_directory",
    "wait_for_lock",
    "whole_manifest",
]

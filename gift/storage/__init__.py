"""Directories in S3: moved in parallel, complete only with their `manifest.json`, verified when read.

A directory is named by its URI, `s3://bucket/prefix`. Addresses and credentials come from the environment
(`AWS_ENDPOINT_URL_S3`, `AWS_ACCESS_KEY_ID`, ...), which boto3 reads by itself.

Left out on purpose: two writers of the same URI at once, empty folders and file modes. Every URI has one writer here,
and what the stages exchange are plain files. May import `fingerprint`, `inside_folder` and `errors`.
"""

from gift.storage.client import DirectoryError, check_storage, put_object
from gift.storage.composition import compose_directory, delete_directory
from gift.storage.listing import list_paths
from gift.storage.manifest import Manifest, ManifestFile, read_manifest
from gift.storage.transfer import download_directory, download_into, upload_directory

__all__ = [
    "DirectoryError",
    "Manifest",
    "ManifestFile",
    "check_storage",
    "compose_directory",
    "delete_directory",
    "download_directory",
    "download_into",
    "list_paths",
    "put_object",
    "read_manifest",
    "upload_directory",
]

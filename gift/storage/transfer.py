"""Uploading and downloading whole directories: files in parallel, large files in parallel parts.

    upload:    files sent and hashed → manifest written, if no other writer was faster (`gift.storage.attempts`)
    download:  manifest read → disk space checked → files fetched and hashed in a sibling folder → renamed into place

A reader therefore finds a complete directory or none. Files are hashed while they travel.
Left out on purpose: resuming a broken transfer; it starts again.
"""

import logging
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from s3transfer.manager import TransferManager

from gift.errors import GiftError
from gift.fingerprint.files import sha256_of
from gift.host.inside_folder import check_inside
from gift.storage.attempts import About, write_directory
from gift.storage.client import DirectoryError, Location, connect, error_code, parse_uri, storage_faults
from gift.storage.fetching import ObjectSource, fetch_object, request_threads
from gift.storage.manifest import MANIFEST_NAME, Manifest, ManifestFile, read_manifest
from gift.storage.objects import in_parallel, open_transfers

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_NAME = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""What S3's own XML can't hold, so that it could not be deleted; half characters stand for what is no UTF-8."""

logger = logging.getLogger(__name__)


def upload_directory(
    source: Path,
    uri: str,
    *,
    replace: bool = False,
    step: int | None = None,
    parents: Iterable[str] = (),
    metadata: Mapping[str, str] | None = None,
    decided_by: Mapping[str, str] | None = None,
) -> Manifest:
    """Make the files below `source` the directory `uri`, unless it is there already, or another writer is faster.

    Args:
        replace: take the place of what is there.

    Returns:
        The manifest that is there then: ours, or the other writer's.

    Raises:
        GiftError: nothing to upload, a link out of `source`, a pipe or a device, a reserved name, or S3 or the disk
            failed. What was there is there still.
    """
    location = parse_uri(uri)
    started = time.monotonic()
    client = connect()
    with _disk_faults(source), storage_faults(client, location.bucket):
        paths = _files_below(source)

        def send(place: Location) -> list[ManifestFile]:
            return in_parallel(
                open_transfers(client), lambda transfers, path: _upload_file(transfers, source, path, place), paths
            )

        about = About(step, parents, metadata, decided_by)
        manifest = write_directory(client, location, send, about, replace=replace)
    _log("uploaded", manifest.files, uri, started)
    return manifest


def download_directory(uri: str, destination: Path, *, wanted: Sequence[str] = ("*",)) -> Manifest:
    """Fetch a complete directory to `destination`, which must not exist yet or be empty.

    Args:
        wanted: patterns of the shell; a file whose name no pattern matches is left out.

    Raises:
        DirectoryError: not complete, or its content is not as the manifest says.
        GiftError: no room on the disk, or S3 or the disk failed. Nothing is left at `destination` in either case.
    """
    started = time.monotonic()
    manifest = _complete(uri)
    while True:
        files = [file for file in manifest.files if any(fnmatchcase(file.path, pattern) for pattern in wanted)]
        try:
            _fetch(uri, manifest, files, destination)
        except DirectoryError:
            newer = _complete(uri)
            if newer == manifest:
                raise
            manifest = newer  # a writer has replaced the directory while we read it
        else:
            _log("downloaded", files, uri, started)
            return manifest


def _complete(uri: str) -> Manifest:
    manifest = read_manifest(uri)
    if manifest is None:
        raise DirectoryError(
            f"{uri} is not complete (no {MANIFEST_NAME}): its writer did not finish, or the URI is wrong"
        )
    return manifest


def _fetch(uri: str, manifest: Manifest, files: list[ManifestFile], destination: Path) -> None:
    place = parse_uri(manifest.folder(uri))
    client = connect()
    with _disk_faults(destination):
        if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
            raise GiftError(f"{destination} exists already: remove it, or download {uri} to another folder")
        destination.parent.mkdir(parents=True, exist_ok=True)
        _require_space(destination.parent, files, uri)
        with _folder_that_becomes(destination) as partial, storage_faults(client, place.bucket):
            in_parallel(
                request_threads(), lambda threads, file: _download_file(client, threads, place, file, partial), files
            )


def download_into(uri: str, folder: Path) -> None:
    """Fetch a complete directory into a folder that is there and may hold other files; raises as `download_directory`.

    All files are there, and verified, before the first of them takes its place.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetched-") as temporary:
        fetched = Path(temporary) / "files"
        download_directory(uri, fetched)
        for path in fetched.iterdir():
            path.replace(folder / path.name)


# --- one file ------------------------------------------------------------------------------------------------------


def _upload_file(transfers: TransferManager, source: Path, path: str, location: Location) -> ManifestFile:
    local = source / path
    size = local.stat().st_size
    sent = transfers.upload(str(local), location.bucket, location.key(path))
    file = ManifestFile(path=path, size=size, sha256=sha256_of(local))  # while it is sent
    sent.result()
    return file


def _download_file(client: "S3Client", threads: Executor, location: Location, file: ManifestFile, folder: Path) -> None:
    remote = f"s3://{location.bucket}/{location.key(file.path)}"
    local = folder / file.path
    local.parent.mkdir(parents=True, exist_ok=True)
    source = ObjectSource(client, location.bucket, location.key(file.path), file.size)
    try:
        found = fetch_object(source, local, threads)
    except ClientError as error:
        match error_code(error):
            case "404" | "NoSuchKey":
                wrong = "is missing although the manifest lists it"
            case "416" | "InvalidRange":
                wrong = f"has less than the {file.size} bytes that its manifest says"
            case _:
                raise
        raise DirectoryError(f"{remote} {wrong}: write the directory again") from error
    if found.size != file.size:
        raise DirectoryError(
            f"{remote} has {found.size} bytes, its manifest says {file.size}: write the directory again"
        )
    if found.sha256 != file.sha256:
        raise DirectoryError(f"{remote} is damaged (its sha256 is not the manifest's): write the directory again")


# --- the disk ------------------------------------------------------------------------------------------------------


def _files_below(source: Path) -> list[str]:
    """Relative POSIX paths of all files, sorted."""
    if not source.is_dir():
        raise GiftError(f"{source} is not a folder, so there is nothing to upload")
    entries = sorted(source.rglob("*"))
    for entry in entries:
        check_inside(source, entry)
        if entry.is_symlink() and entry.is_dir():
            raise GiftError(f"{entry} is a link to a folder, which would be left out: replace it by the folder itself")
        if NO_NAME.search(entry.name):
            raise GiftError(f"{entry} cannot be uploaded: its name has control characters, or is no UTF-8; rename it")
        if entry.name == MANIFEST_NAME:
            raise GiftError(f"{entry} cannot be uploaded: the name {MANIFEST_NAME} marks a complete directory")
    files = [entry.relative_to(source).as_posix() for entry in entries if entry.is_file()]
    if not files:
        raise GiftError(f"{source} holds no files, so there is nothing to upload")
    return files


def _require_space(folder: Path, files: list[ManifestFile], uri: str) -> None:
    needed = sum(file.size for file in files)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise GiftError(f"{uri} needs {needed} bytes in {folder}, which has {free} bytes free: make room there")


@contextmanager
def _folder_that_becomes(destination: Path) -> Iterator[Path]:
    """A sibling folder, renamed to `destination` at the end, or removed if anything fails."""
    partial = destination.with_name(f".{destination.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.mkdir()
        yield partial
        partial.replace(destination)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


@contextmanager
def _disk_faults(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise GiftError(f"cannot read or write {error.filename or folder}: {error.strerror or error}") from error


def _log(verb: str, files: Sequence[ManifestFile], uri: str, started: float) -> None:
    seconds = time.monotonic() - started
    megabytes = sum(file.size for file in files) / 1e6
    logger.info("%s %d files, %.1f MB in %.1f s: %s", verb, len(files), megabytes, seconds, uri)

"""Directories in S3, against a real S3 server."""

import errno
import json
import os
import resource
import shutil
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from stored_objects import delete_object, object_uri, write_object

from gift.errors import GiftError
from gift.storage import DirectoryError, check_storage, download_directory, read_manifest, upload_directory

LARGE = 40 * 1024**2 + 7


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a nested file, an empty file and one large enough to travel in parts."""
    folder = tmp_path / "source"
    (folder / "tokenizer" / "merges").mkdir(parents=True)
    (folder / "config.json").write_text('{"layers": 3}')
    (folder / "tokenizer" / "merges" / "a b é.txt").write_text("nested")
    (folder / "empty").write_bytes(b"")
    (folder / "model.safetensors").write_bytes(bytes(range(251)) * (LARGE // 251) + b"x" * (LARGE % 251))
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "a.txt").write_text("first")
    (folder / "b.txt").write_text("second")
    return folder


def split(uri: str) -> tuple[str, str]:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    return bucket, prefix


def etag(uri: str) -> str:
    bucket, key = split(uri)
    return str(boto3.session.Session().client("s3").head_object(Bucket=bucket, Key=key)["ETag"])


def keys_below(uri: str) -> set[str]:
    bucket, prefix = split(uri)
    answer = boto3.session.Session().client("s3").list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")
    return {entry["Key"].removeprefix(f"{prefix}/") for entry in answer.get("Contents", [])}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_uploaded_comes_back_byte_for_byte(source: Path, bucket_prefix: str, tmp_path: Path) -> None:
    uri = f"{bucket_prefix}/checkpoint"
    uploaded = upload_directory(source, uri, step=7, parents=["abc"], metadata={"git": "1234"})

    downloaded = download_directory(uri, tmp_path / "copy")

    assert contents(tmp_path / "copy") == contents(source)
    assert downloaded == uploaded == read_manifest(uri)
    assert (downloaded.step, downloaded.parents, downloaded.metadata) == (7, ("abc",), {"git": "1234"})
    assert {file.path: file.size for file in downloaded.files} == {
        "config.json": 13,
        "tokenizer/merges/a b é.txt": 6,
        "empty": 0,
        "model.safetensors": LARGE,
    }


def test_only_the_files_that_are_wanted_come_back(source: Path, bucket_prefix: str, tmp_path: Path) -> None:
    uri = f"{bucket_prefix}/checkpoint"
    uploaded = upload_directory(source, uri)

    assert download_directory(uri, tmp_path / "copy", wanted=("*.json", "tokenizer/*")) == uploaded
    assert contents(tmp_path / "copy").keys() == {"config.json", "tokenizer/merges/a b é.txt"}


def test_large_files_travel_in_parts(source: Path, bucket_prefix: str) -> None:
    upload_directory(source, f"{bucket_prefix}/checkpoint")

    assert etag(object_uri(f"{bucket_prefix}/checkpoint", "model.safetensors")).endswith('-3"')
    assert "-" not in etag(object_uri(f"{bucket_prefix}/checkpoint", "config.json"))


def test_digest_depends_on_content_and_not_on_place_or_provenance(small: Path, bucket_prefix: str) -> None:
    here = upload_directory(small, f"{bucket_prefix}/here", step=1)
    there = upload_directory(small, f"{bucket_prefix}/there", step=2)
    (small / "a.txt").write_text("other")

    assert here.digest() == there.digest() != upload_directory(small, f"{bucket_prefix}/elsewhere").digest()


def test_directory_without_manifest_is_absent_and_not_downloaded(bucket_prefix: str, tmp_path: Path) -> None:
    write_object(f"{bucket_prefix}/half/a.txt", b"the writer died after this file")

    assert read_manifest(f"{bucket_prefix}/half") is None
    with pytest.raises(GiftError, match=r"half is not complete \(no manifest.json\)"):
        download_directory(f"{bucket_prefix}/half", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("there", [False, True])
def test_upload_that_fails_leaves_what_was_there(
    small: Path, bucket_prefix: str, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"{bucket_prefix}/checkpoint"
    before = upload_directory(small, uri) if there else None

    def fail(path: Path) -> str:  # as a disk that breaks; no file is like that for root
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr("gift.storage.transfer.sha256_of", fail)
    with pytest.raises(GiftError, match="cannot read or write"):
        upload_directory(small, uri, replace=True)
    assert read_manifest(uri) == before


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside.txt", "/dev/zero", "/nowhere"])
def test_a_link_out_of_the_folder_is_not_followed(small: Path, bucket_prefix: str, tmp_path: Path, target: str) -> None:
    uri = f"{bucket_prefix}/links"
    before = upload_directory(small, uri)
    (small.parent / "outside.txt").write_text("not ours to give away")
    (small / "c.txt").symlink_to(target)

    with pytest.raises(GiftError, match=r"c\.txt"):
        upload_directory(small, uri, replace=True)
    assert read_manifest(uri) == before


def test_what_has_no_content_is_not_waited_for(small: Path, bucket_prefix: str) -> None:
    os.mkfifo(small / "pipe")

    with pytest.raises(GiftError, match="pipe is neither a file nor a folder"):
        upload_directory(small, f"{bucket_prefix}/pipe")


def test_a_link_within_the_folder_is_uploaded_as_a_file(small: Path, bucket_prefix: str, tmp_path: Path) -> None:
    uri = f"{bucket_prefix}/inside"
    (small / "c.txt").symlink_to("b.txt")
    upload_directory(small, uri)

    assert contents(download_and_return(uri, tmp_path / "copy"))["c.txt"] == b"second"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"fIrst", "a.txt is damaged"), (b"first!", "a.txt has 6 bytes, its manifest says 5")],
)
def test_changed_object_is_refused_and_nothing_is_left(
    small: Path, bucket_prefix: str, tmp_path: Path, content: bytes, message: str
) -> None:
    uri = f"{bucket_prefix}/checkpoint"
    upload_directory(small, uri)
    write_object(object_uri(uri, "a.txt"), content)

    with pytest.raises(GiftError, match=object_uri(uri, message)):
        download_directory(uri, tmp_path / "copies" / "copy")
    assert list((tmp_path / "copies").iterdir()) == []


@pytest.mark.parametrize(
    ("position", "bytes_more", "message"),
    [
        (0, 0, "is damaged"),
        (LARGE // 2, 0, "is damaged"),
        (LARGE - 1, 0, "is damaged"),
        (0, 1, f"has {LARGE + 1} bytes, its manifest says {LARGE}"),
        (0, LARGE, f"has {2 * LARGE} bytes, its manifest says {LARGE}"),
        (0, -1, f"has {LARGE - 1} bytes, its manifest says {LARGE}"),
        (0, 9 - LARGE, f"has 9 bytes, its manifest says {LARGE}"),
        (0, -LARGE, f"has less than the {LARGE} bytes that its manifest says"),
    ],
)
def test_changed_object_of_several_parts_is_refused(
    source: Path, bucket_prefix: str, tmp_path: Path, position: int, bytes_more: int, message: str
) -> None:
    uri = f"{bucket_prefix}/checkpoint"
    upload_directory(source, uri)
    content = bytearray((source / "model.safetensors").read_bytes())
    if bytes_more:
        content = (content * 2)[: LARGE + bytes_more]
    else:
        content[position] ^= 1
    write_object(object_uri(uri, "model.safetensors"), bytes(content))

    with pytest.raises(DirectoryError, match=object_uri(uri, f"model.safetensors {message}")):
        download_directory(uri, tmp_path / "copies" / "copy")
    assert list((tmp_path / "copies").iterdir()) == []


def test_missing_object_is_named(small: Path, bucket_prefix: str, tmp_path: Path) -> None:
    uri = f"{bucket_prefix}/checkpoint"
    upload_directory(small, uri)
    delete_object(object_uri(uri, "b.txt"))

    with pytest.raises(GiftError, match=object_uri(uri, "b.txt is missing although the manifest lists it")):
        download_directory(uri, tmp_path / "copy")


def test_a_directory_that_is_there_stays_unless_it_is_to_be_replaced(
    small: Path, bucket_prefix: str, tmp_path: Path
) -> None:
    uri = f"{bucket_prefix}/checkpoint"
    before = upload_directory(small, uri)
    (small / "a.txt").unlink()
    (small / "c.txt").write_text("third")
    assert upload_directory(small, uri) == before == read_manifest(uri)

    after = upload_directory(small, uri, replace=True)

    assert keys_below(uri) == {"manifest.json", *(f"{after.attempt}/{name}" for name in ("b.txt", "c.txt"))}
    assert contents(download_and_return(uri, tmp_path / "copy")) == {"b.txt": b"second", "c.txt": b"third"}


def download_and_return(uri: str, destination: Path) -> Path:
    download_directory(uri, destination)
    return destination


def test_neighbours_and_directories_inside_are_left_alone(small: Path, bucket_prefix: str, tmp_path: Path) -> None:
    uris = [f"{bucket_prefix}/{name}" for name in ("step-10", "step-1", "step-1/node-0")]
    for uri in (*uris, *uris):
        upload_directory(small, uri, replace=True)

    for index, uri in enumerate(uris):
        download_directory(uri, tmp_path / str(index))


def test_what_a_writer_that_died_has_left_is_removed_by_the_next(small: Path, bucket_prefix: str) -> None:
    uri = f"{bucket_prefix}/checkpoint"
    write_object(f"{uri}/{'0' * 32}/a.txt", b"half")

    ours = upload_directory(small, uri)

    assert keys_below(uri) == {"manifest.json", *(f"{ours.attempt}/{name}" for name in ("a.txt", "b.txt"))}


def test_existing_files_at_the_destination_are_not_overwritten(small: Path, bucket_prefix: str, tmp_path: Path) -> None:
    uri = f"{bucket_prefix}/checkpoint"
    upload_directory(small, uri)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")

    with pytest.raises(GiftError, match="taken exists already"):
        download_directory(uri, tmp_path / "taken")
    assert contents(tmp_path / "taken") == {"notes.txt": b"mine"}


def test_too_small_a_disk_is_found_before_anything_is_written(
    source: Path, bucket_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"{bucket_prefix}/checkpoint"
    upload_directory(source, uri)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))

    with pytest.raises(GiftError, match=rf"needs {LARGE + 19} bytes in {tmp_path}/copies, which has 1000 bytes free"):
        download_directory(uri, tmp_path / "copies" / "copy")
    assert list((tmp_path / "copies").iterdir()) == []


def test_folder_that_cannot_be_made_is_named(small: Path, bucket_prefix: str) -> None:
    uri = f"{bucket_prefix}/checkpoint"
    upload_directory(small, uri)

    with pytest.raises(GiftError, match=f"cannot read or write {small}/a.txt"):
        download_directory(uri, small / "a.txt" / "copy")


def test_disk_that_fails_during_the_download_is_reported_and_nothing_is_left(
    source: Path, bucket_prefix: str, tmp_path: Path
) -> None:
    uri = f"{bucket_prefix}/checkpoint"
    upload_directory(source, uri)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024**2, hard))  # the system refuses to let a file grow beyond 1 MiB
    try:
        with pytest.raises(GiftError, match=r"cannot read or write .*copies/copy: File too large"):
            download_directory(uri, tmp_path / "copies" / "copy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert list((tmp_path / "copies").iterdir()) == []


@pytest.mark.parametrize("path", ["../outside.txt", "/tmp/outside.txt", "a/../../outside.txt", "a/./b", ""])
def test_manifest_that_leads_outside_is_refused(bucket_prefix: str, tmp_path: Path, path: str) -> None:
    uri = f"{bucket_prefix}/evil"
    write_object(f"{uri}/outside.txt", b"x")
    write_object(
        f"{uri}/manifest.json",
        json.dumps({"attempt": "0" * 32, "files": [{"path": path, "size": 1, "sha256": "0" * 64}]}).encode(),
    )

    with pytest.raises(GiftError, match=r"evil/manifest.json is not valid \(files.0.path: .*plain relative path"):
        download_directory(uri, tmp_path / "copy")


def test_text_that_is_no_manifest_is_refused(bucket_prefix: str) -> None:
    write_object(f"{bucket_prefix}/broken/manifest.json", b"{")

    with pytest.raises(GiftError, match=r"broken/manifest.json is not valid"):
        read_manifest(f"{bucket_prefix}/broken")


def test_folders_that_cannot_become_a_directory_are_refused(small: Path, bucket_prefix: str, tmp_path: Path) -> None:
    with pytest.raises(GiftError, match="absent is not a folder"):
        upload_directory(tmp_path / "absent", f"{bucket_prefix}/checkpoint")
    (tmp_path / "hollow").mkdir()
    with pytest.raises(GiftError, match="hollow holds no files"):
        upload_directory(tmp_path / "hollow", f"{bucket_prefix}/checkpoint")
    (small / "manifest.json").write_text("{}")
    with pytest.raises(GiftError, match="marks a complete directory"):
        upload_directory(small, f"{bucket_prefix}/checkpoint")


@pytest.mark.parametrize("uri", ["s3://gift", "s3://gift/", "s3://gift/a/", "s3://gift//a", "gift/a", "https://gift/a"])
def test_uri_that_names_no_directory_is_refused(small: Path, uri: str) -> None:
    with pytest.raises(GiftError, match="does not name a directory in S3"):
        upload_directory(small, uri)


# --- the server ----------------------------------------------------------------------------------------------------


def test_check_accepts_a_bucket_and_a_prefix_and_leaves_nothing(bucket_prefix: str) -> None:
    check_storage("s3://gift")
    check_storage(bucket_prefix)

    assert keys_below(bucket_prefix) == set()


@pytest.mark.usefixtures("services")
def test_missing_bucket_is_named(small: Path) -> None:
    for action in (
        lambda: check_storage("s3://no-such-bucket/a"),
        lambda: read_manifest("s3://no-such-bucket/a"),
        lambda: upload_directory(small, "s3://no-such-bucket/a"),
    ):
        with pytest.raises(GiftError, match=r"bucket no-such-bucket does not exist in S3 at 127\.0\.0\.1:\d+"):
            action()


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_key_is_refused_without_showing_it(
    small: Path, bucket_prefix: str, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "wrongwrongwrong")

    for action in (
        lambda: check_storage(bucket_prefix),
        lambda: read_manifest(f"{bucket_prefix}/a"),
        lambda: upload_directory(small, f"{bucket_prefix}/a"),
    ):
        with pytest.raises(GiftError, match=r"127\.0\.0\.1:\d+ refuses our key for bucket gift") as caught:
            action()
        assert "wrongwrongwrong" not in str(caught.value)


def test_missing_credentials_are_named(bucket_prefix: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    with pytest.raises(GiftError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        check_storage(bucket_prefix)


def test_dead_endpoint_is_reported_soon(small: Path, bucket_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:  # bound, but nobody listens
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{address}")
        started = time.monotonic()

        for action in (lambda: check_storage(bucket_prefix), lambda: upload_directory(small, f"{bucket_prefix}/a")):
            with pytest.raises(GiftError, match=f"cannot reach S3 at {address}"):
                action()
    assert time.monotonic() - started < 20


def test_silent_endpoint_is_reported_soon(small: Path, bucket_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connection attempts that nobody answers: the queue of the listening socket is full."""
    with socket.socket() as silent, socket.socket() as first, socket.socket() as second:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(silent.getsockname())
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{address}")
        monkeypatch.setattr("gift.storage.client.CONNECT_SECONDS", 1)
        started = time.monotonic()

        with pytest.raises(GiftError, match=f"cannot reach S3 at {address}"):
            upload_directory(small, f"{bucket_prefix}/a")
    assert time.monotonic() - started < 10


def test_unusable_endpoint_setting_is_reported(bucket_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "nonsense")

    with pytest.raises(GiftError, match=r"the S3 settings in the environment \(AWS_\*\) cannot be used"):
        check_storage(bucket_prefix)

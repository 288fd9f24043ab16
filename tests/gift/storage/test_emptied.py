"""A directory of which something is gone behind the manifest's back is none, and is written anew."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from stored_objects import delete_object, object_uri, write_object

from gift.storage import download_directory, list_paths, read_manifest, upload_directory, whole_manifest

WAYS = ("manifest.json", "a", "b a", "b a manifest.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    for name in "ab":
        (tmp_path / "files" / name).write_text(f"the content of {name}")
    return tmp_path / "files"


@pytest.mark.parametrize("gone", WAYS)
def test_what_is_gone_is_written_anew(folder: Path, bucket_prefix: str, tmp_path: Path, gone: str) -> None:
    uri = f"{bucket_prefix}/files"
    former = upload_directory(folder, uri)
    assert whole_manifest(uri) == former
    for path in gone.split():
        delete_object(object_uri(uri, path))
    assert whole_manifest(uri) is None

    now = upload_directory(folder, uri)
    assert now.attempt != former.attempt
    assert whole_manifest(uri) == now
    download_directory(uri, tmp_path / "copy")
    assert set(list_paths(uri)) == {"manifest.json", f"{now.attempt}/a", f"{now.attempt}/b"}, "no leftovers"


@pytest.mark.parametrize("content", [b"", b"{}", b"{", b'{"files": []}', b"\xff"])
def test_a_manifest_that_says_nothing_is_written_anew(folder: Path, bucket_prefix: str, content: bytes) -> None:
    uri = f"{bucket_prefix}/files"
    upload_directory(folder, uri)
    write_object(f"{uri}/manifest.json", content)
    assert whole_manifest(uri) is None
    assert upload_directory(folder, uri) == whole_manifest(uri)


def test_a_file_that_was_cut_off_is_written_anew(folder: Path, bucket_prefix: str) -> None:
    uri = f"{bucket_prefix}/files"
    upload_directory(folder, uri)
    write_object(object_uri(uri, "a"), b"the con")
    assert whole_manifest(uri) is None
    assert upload_directory(folder, uri) == whole_manifest(uri)


def test_of_several_that_write_it_anew_one_is_first(folder: Path, bucket_prefix: str) -> None:
    uri = f"{bucket_prefix}/files"
    upload_directory(folder, uri)
    delete_object(object_uri(uri, "a"))
    with ThreadPoolExecutor(6) as pool:
        written = list(pool.map(lambda _: upload_directory(folder, uri), range(6)))
    there = read_manifest(uri)
    assert there is not None
    assert {manifest.attempt for manifest in written} == {there.attempt}
    assert len(list_paths(uri)) == 3

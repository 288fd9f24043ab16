"""A directory composed in S3 from parts reads like any other one, and appears only when it is whole."""

from pathlib import Path

import pytest
from stored_objects import object_uri, write_object

from gift.errors import GiftError
from gift.storage import compose_directory, delete_directory, download_directory, read_manifest, upload_directory


def upload(folder: Path, uri: str, files: dict[str, bytes]) -> str:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    upload_directory(folder, uri)
    return uri


@pytest.fixture
def parts(tmp_path: Path, bucket_prefix: str) -> list[str]:
    """Two parts; the first has a file above the size from which copies travel in pieces."""
    return [
        upload(tmp_path / "0", f"{bucket_prefix}/parts/0", {"latest": b"step-3", "step-3/rank 0.pt": b"ab" * 2**24}),
        upload(tmp_path / "1", f"{bucket_prefix}/parts/1", {"step-3/rank 1.pt": b"one"}),
    ]


def test_the_whole_holds_the_files_of_all_parts(tmp_path: Path, bucket_prefix: str, parts: list[str]) -> None:
    written = compose_directory(f"{bucket_prefix}/whole", parts, step=3, parents=["m"], metadata={"ranks": "2"})
    found = download_directory(f"{bucket_prefix}/whole", tmp_path / "whole")
    assert found == written
    assert (found.step, found.parents, found.metadata) == (3, ("m",), {"ranks": "2"})
    contents = {str(path.relative_to(tmp_path / "whole")) for path in (tmp_path / "whole").rglob("*.*t*")}
    assert contents == {"step-3/rank 0.pt", "step-3/rank 1.pt"}
    assert (tmp_path / "whole" / "latest").read_bytes() == b"step-3"
    assert (tmp_path / "whole" / "step-3" / "rank 0.pt").read_bytes() == b"ab" * 2**24


def test_what_is_there_already_stays(tmp_path: Path, bucket_prefix: str, parts: list[str]) -> None:
    there = upload_directory(tmp_path / "1", f"{bucket_prefix}/whole")
    assert compose_directory(f"{bucket_prefix}/whole", parts) == there == read_manifest(f"{bucket_prefix}/whole")


def test_a_missing_part_leaves_no_whole(bucket_prefix: str, parts: list[str]) -> None:
    with pytest.raises(GiftError, match=r"parts/2 is not complete .*the node that writes it did not finish"):
        compose_directory(f"{bucket_prefix}/whole", [*parts, f"{bucket_prefix}/parts/2"])
    assert read_manifest(f"{bucket_prefix}/whole") is None


def test_an_object_that_is_not_what_its_part_says_leaves_no_whole(bucket_prefix: str, parts: list[str]) -> None:
    write_object(object_uri(parts[1], "step-3/rank 1.pt"), b"cut off")
    with pytest.raises(GiftError, match="has 7 bytes, the manifest of its part says 3"):
        compose_directory(f"{bucket_prefix}/whole", parts)
    assert read_manifest(f"{bucket_prefix}/whole") is None


def test_a_path_in_two_parts_is_refused(tmp_path: Path, bucket_prefix: str, parts: list[str]) -> None:
    twice = upload(tmp_path / "twice", f"{bucket_prefix}/parts/twice", {"latest": b"step-4"})
    with pytest.raises(GiftError, match="both have a file latest"):
        compose_directory(f"{bucket_prefix}/whole", [*parts, twice])


def test_a_deleted_directory_is_gone(bucket_prefix: str, parts: list[str]) -> None:
    delete_directory(parts[0])
    assert read_manifest(parts[0]) is None
    assert read_manifest(parts[1]) is not None

"""A file beside a complete directory is there for who copies the folder, and is nothing to who reads the manifest."""

from pathlib import Path

import pytest

from gift.errors import GiftError
from gift.storage import download_directory, list_paths, put_companion, upload_directory, whole_manifest


@pytest.fixture
def directory(bucket_prefix: str, tmp_path: Path) -> str:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "config.json").write_text("{}")
    upload_directory(tmp_path / "made", f"{bucket_prefix}/model")
    return f"{bucket_prefix}/model"


def test_it_lies_in_the_folder_and_in_no_manifest(directory: str, tmp_path: Path) -> None:
    before = whole_manifest(directory)
    assert before is not None
    put_companion(directory, "README.md", b"first")
    written = put_companion(directory, "README.md", b"second")
    assert written == f"{before.folder(directory)}/README.md"
    assert list_paths(before.folder(directory)) == ["README.md", "config.json"]
    assert whole_manifest(directory) == before
    download_directory(directory, tmp_path / "read")
    assert [path.name for path in (tmp_path / "read").iterdir()] == ["config.json"]


def test_a_file_of_the_directory_is_never_replaced(directory: str, tmp_path: Path) -> None:
    with pytest.raises(GiftError, match=r"config\.json is one of the files of .*, which nobody changes"):
        put_companion(directory, "config.json", b"other")
    download_directory(directory, tmp_path / "read")
    assert (tmp_path / "read" / "config.json").read_text() == "{}"


def test_what_is_not_complete_gets_none(bucket_prefix: str) -> None:
    with pytest.raises(GiftError, match="is not complete"):
        put_companion(f"{bucket_prefix}/nothing", "README.md", b"card")
    assert list_paths(f"{bucket_prefix}/nothing") == []

"""Names of files and addresses of stores that are none: refused in one line, before anything is stored."""

from pathlib import Path

import pytest

from gift.errors import GiftError
from gift.storage import list_paths, read_manifest, upload_directory


@pytest.mark.parametrize("name", ["bell\x07", "two\nlines", "latin-1-\udcfc"])
def test_a_name_that_s3_cannot_list_or_delete_is_refused(bucket_prefix: str, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("content")
    with pytest.raises(GiftError, match="its name has control characters, or is no UTF-8; rename it"):
        upload_directory(tmp_path, f"{bucket_prefix}/files")
    assert list_paths(bucket_prefix) == []


@pytest.mark.parametrize("address", ["http://me:a-password@bad host", "me:a-password@host", "http://host:99999"])
def test_an_address_that_is_none_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
    with pytest.raises(GiftError, match=r"the S3 settings in the environment .* cannot be used: ") as refused:
        read_manifest("s3://gift/files")
    assert "a-password" not in str(refused.value)

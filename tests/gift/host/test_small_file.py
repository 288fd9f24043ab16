"""Whatever lies at a path, reading it ends: in its content, or in one line."""

import os
from pathlib import Path

import pytest

from gift.errors import GiftError, printable
from gift.host.small_file import read_small_file, read_small_text


def test_a_file_is_read_through_a_link_and_without_its_mark(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbfgr\xc3\xbc\xc3\x9f")
    (tmp_path / "link").symlink_to("file")
    assert read_small_text(tmp_path / "link") == "grüß"


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/nowhere")
    for path in (tmp_path / "pipe", tmp_path / "link", tmp_path, Path("/dev/zero"), Path("a\0b"), tmp_path / "no"):
        with pytest.raises(GiftError, match="can't be read"):
            read_small_file(path)


def test_a_file_that_is_too_large_is_not_taken_into_memory(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(GiftError, match=r"is larger than 67,108,864 bytes"):
        read_small_file(tmp_path / "file")


@pytest.mark.parametrize("content", ["é".encode("latin-1"), "a".encode("utf-16-le"), b"\xed\xa0\x80"])
def test_what_is_not_utf_8_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(GiftError, match="is not text in UTF-8"):
        read_small_text(tmp_path / "file")


def test_a_message_is_one_line_that_moves_no_cursor() -> None:
    assert printable("über → ×") == "über → ×"
    assert printable("a\x1b[31m\nerror: b\x07\ud800\u202e") == r"a\x1b[31m\nerror: b\x07\ud800\u202e"
    assert len(printable("\x1b" * 10**6)) < 20_000
    assert printable("a" * 10**6).endswith("a…")

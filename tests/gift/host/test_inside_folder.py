"""What a folder that is copied or uploaded may hold."""

import os
import socket
from pathlib import Path

import pytest

from gift.errors import GiftError
from gift.host.inside_folder import check_inside


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "folder" / "file").write_text("ours")
    (tmp_path / "secret").write_text("not ours")
    return tmp_path / "folder"


@pytest.mark.parametrize("target", ["file", "below/../file", "below", "../folder/file"])
def test_a_link_that_stays_inside_is_taken(folder: Path, target: str) -> None:
    (folder / "link").symlink_to(target)
    check_inside(folder, folder / "link")
    (folder.parent / "other").symlink_to("folder")
    check_inside(folder.parent / "other", folder.parent / "other" / "link")


@pytest.mark.parametrize("target", ["../secret", "..", "/etc/hostname", "below/../../secret"])
def test_a_link_that_leads_out_is_refused(folder: Path, target: str) -> None:
    (folder / "link").symlink_to(target)
    (folder / "link-to-it").symlink_to("link")
    for name in ("link", "link-to-it"):
        with pytest.raises(GiftError, match=f"{name} links out of {folder}, to "):
            check_inside(folder, folder / name)


@pytest.mark.parametrize("target", ["/nowhere", "link"])
def test_a_link_to_nothing_is_named_with_where_it_leads(folder: Path, target: str) -> None:
    (folder / "link").symlink_to(target)
    with pytest.raises(GiftError, match=f"link, a link to {target}, can't be read"):
        check_inside(folder, folder / "link")


def test_what_is_no_file_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)  # a socket's address is short
    os.mkfifo("pipe")
    (folder / "device").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for name in ("pipe", "socket", "device"):
            with pytest.raises(GiftError, match=f"{name} is neither a file nor a folder"):
                check_inside(folder, folder / name)


def test_a_folder_that_looks_like_the_hub_clients_cache_gives_nothing_else_away(tmp_path: Path) -> None:
    snapshot = tmp_path / "model" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_text("not ours")
    (tmp_path / "model" / "blobs").symlink_to(tmp_path / "elsewhere")
    (snapshot / "config.json").symlink_to("../../blobs/secret")
    with pytest.raises(GiftError, match="links out of"):
        check_inside(snapshot, snapshot / "config.json")

"""A disk that is full is what a stage's line names, whatever the libraries make of it."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gift.errors import GiftError
from gift.execution.outbox import OUTBOX_VARIABLE, made_or_waiting
from gift.execution.stage import scratch_folder
from gift.host.full_disk import DiskFullError


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk of 4 MiB, in which scratch folders lie."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a disk in memory")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def _fill(folder: Path) -> None:
    with (folder / "large").open("wb") as file:
        file.write(bytes(2**23))


def _fill_and_say(folder: Path, text: str) -> None:
    try:
        _fill(folder)
    except OSError:
        raise ValueError(text) from None


def _fill_after(folder: Path, fault: Callable[[], None]) -> None:
    fault()
    _fill(folder)


def _make_read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def test_a_write_that_has_no_room_names_the_disk(small_disk: Path) -> None:
    with pytest.raises(DiskFullError, match=rf"the disk is full \({small_disk}"), scratch_folder() as folder:
        _fill(folder)
    assert list(small_disk.iterdir()) == []


def test_what_a_library_says_of_a_full_disk_does_not_hide_it(small_disk: Path) -> None:
    with (
        pytest.raises(DiskFullError, match=r"to another disk; it showed as ValueError: no JSON$"),
        scratch_folder(),
        scratch_folder() as folder,
    ):
        _fill_and_say(folder, "no JSON")


def test_a_fault_on_a_disk_with_room_stays_what_it_is(small_disk: Path) -> None:
    with pytest.raises(GiftError, match=r"^something else$"), scratch_folder():
        raise GiftError("something else")


def test_the_disk_of_what_waits_for_the_store_is_named_and_left_empty(
    small_disk: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OUTBOX_VARIABLE, str(small_disk))

    def make(folder: Path) -> dict[str, str]:
        _fill_and_say(folder, "no JSON")
        return {}

    with (
        pytest.raises(DiskFullError, match=rf"the disk is full \({small_disk}.* it showed as ValueError"),
        made_or_waiting("s3://gift/models/a", make, tmp_path_factory.mktemp("scratch")),
    ):
        pytest.fail("nothing was made")
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_is_made_read_only_under_a_stage_is_named(small_disk: Path) -> None:
    named = rf"^the disk of {small_disk}/gift-\w+ can't be written to any more"
    with pytest.raises(GiftError, match=named), scratch_folder() as folder:
        _fill_after(folder, lambda: _make_read_only(small_disk))


def test_a_folder_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    named = rf"^no folder for temporary files can be made \({tmp_path}/gone/"
    with pytest.raises(GiftError, match=named), scratch_folder():
        pytest.fail("there is none")


def test_a_folder_that_goes_under_a_stage_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    named = rf"^somebody has removed {tmp_path}/gift-\w+ while it was in use"
    with pytest.raises(GiftError, match=named), scratch_folder() as folder:
        _fill_after(folder, lambda: shutil.rmtree(folder))


def test_what_cannot_be_removed_does_not_fail_what_is_done(small_disk: Path) -> None:
    with scratch_folder() as folder:
        (folder / "file").write_text("")
        _make_read_only(small_disk)
    assert folder.exists()

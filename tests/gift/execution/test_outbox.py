"""What waits on the disk for the store: whole, or made anew; and nothing is left of what was stored."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gift.errors import GiftError
from gift.execution.outbox import OUTBOX_VARIABLE, made_or_waiting

URI = "s3://gift/models/0123456789abcdef"


@pytest.fixture
def outbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(OUTBOX_VARIABLE, str(tmp_path / "outbox"))
    return tmp_path / "outbox"


def make(folder: Path) -> dict[str, str]:
    (folder / "weights").write_text("a" * 1000)
    return {"made": "well"}


def leave_waiting(outbox: Path, scratch: Path) -> Path:
    """The folder of what was made, and could not be stored."""
    waits = pytest.raises(GiftError, match="the store is away; what this stage has made waits")
    with waits, made_or_waiting(URI, make, scratch):
        raise GiftError("the store is away")
    (folder,) = outbox.iterdir()
    return folder


def lose_the_end(folder: Path) -> None:
    (folder / "files" / "weights").write_text("")


def lose_a_file(folder: Path) -> None:
    (folder / "files" / "weights").unlink()


def lose_the_list(folder: Path) -> None:
    (folder / "metadata.json").write_text("")


@pytest.mark.parametrize("lose", [lose_the_end, lose_a_file, lose_the_list])
def test_what_a_machine_without_power_kept_only_in_part_is_made_anew(
    outbox: Path, tmp_path: Path, lose: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    lose(leave_waiting(outbox, tmp_path))
    with made_or_waiting(URI, make, tmp_path) as made:
        assert (made.files / "weights").stat().st_size == 1000
        assert made.metadata == {"made": "well"}
    assert "not whole any more: it is made anew" in capsys.readouterr().out
    assert list(outbox.iterdir()) == []


def test_what_is_whole_is_not_made_again(outbox: Path, tmp_path: Path) -> None:
    leave_waiting(outbox, tmp_path)
    with made_or_waiting(URI, lambda _: pytest.fail("made again"), tmp_path) as made:
        assert made.metadata == {"made": "well"}
    assert list(outbox.iterdir()) == []


def test_what_a_killed_process_was_about_to_remove_is_removed_by_the_next(
    outbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt), made_or_waiting(URI, make, tmp_path):
        killed.setattr("gift.execution.outbox.shutil.rmtree", _die)
    assert len(list(outbox.iterdir())) == 1
    with made_or_waiting("s3://gift/models/another", make, tmp_path):
        pass
    assert list(outbox.iterdir()) == []


def _die(_path: Path, *, ignore_errors: bool = False) -> None:
    raise KeyboardInterrupt

"""Two writers of one address: the first one wins, the other takes what it wrote, and no reader sees a mixture."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from faulty_proxy import FaultyProxy
from stored_objects import read_object, write_object

from gift.errors import GiftError
from gift.storage import download_directory, list_objects, list_paths, lock, locked, upload_directory

WRITERS = 6
WRITE = """
import sys
from pathlib import Path
from gift.storage import upload_directory
for folder in sys.argv[2:]:
    print(upload_directory(Path(folder), sys.argv[1], metadata={"by": folder}).metadata["by"], flush=True)
"""


def folder_of(writer: str, parent: Path, files: int = 4) -> Path:
    folder = parent / writer
    folder.mkdir()
    for name in range(files):
        (folder / f"{name}.txt").write_text(f"{writer}'s {name}" * (1 + 1000 * name))
    return folder


def by_one_writer(folder: Path) -> bool:
    return len({path.read_text().partition("'")[0] for path in folder.iterdir()}) == 1


def test_processes_that_write_one_address_end_with_the_files_of_one_of_them(bucket_prefix: str, tmp_path: Path) -> None:
    uri = f"{bucket_prefix}/checkpoint"
    folders = [folder_of(f"writer-{number}", tmp_path) for number in range(WRITERS)]
    started = [
        subprocess.Popen([sys.executable, "-c", WRITE, uri, str(folder)], stdout=subprocess.PIPE, text=True)
        for folder in folders
    ]
    winners = {process.communicate(timeout=120)[0].strip() for process in started}

    assert len(winners) == 1, "all say the same"
    manifest = download_directory(uri, tmp_path / "copy")
    assert {manifest.metadata["by"]} == winners
    assert by_one_writer(tmp_path / "copy")
    assert set(list_paths(uri)) == {"manifest.json", *(f"{manifest.attempt}/{n}.txt" for n in range(4))}, "no leftovers"


def test_a_reader_finds_a_whole_directory_while_another_writer_is_at_work(bucket_prefix: str, tmp_path: Path) -> None:
    uri = f"{bucket_prefix}/checkpoint"
    writers = [folder_of(f"writer-{number}", tmp_path) for number in range(3)]
    upload_directory(writers[0], uri)
    done = threading.Event()

    def write(folder: Path) -> None:
        while not done.is_set():
            upload_directory(folder, uri, replace=folder != writers[0])

    def read(number: int) -> bool:
        download_directory(uri, tmp_path / f"copy-{number}")
        return by_one_writer(tmp_path / f"copy-{number}")

    with ThreadPoolExecutor(len(writers)) as pool:
        writing = [pool.submit(write, folder) for folder in writers]
        try:
            assert all(read(number) for number in range(12))
        finally:
            done.set()
        for future in writing:
            future.result()


def test_a_lock_is_held_by_one_at_a_time(bucket_prefix: str) -> None:
    counter = f"{bucket_prefix}/counter"
    write_object(counter, b"0")

    def add_one(_: int) -> None:
        with locked(f"{bucket_prefix}/lock"):
            before = int(read_object(counter))
            time.sleep(0.02)
            write_object(counter, str(before + 1).encode())

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(add_one, range(30)))
    assert read_object(counter) == b"30"
    assert list_paths(bucket_prefix) == ["counter"]


def test_a_lock_that_its_holder_left_behind_is_taken_over_by_one(
    bucket_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"{bucket_prefix}/lock"
    write_object(uri, b"a process that was killed")
    monkeypatch.setattr(lock, "LEASE_SECONDS", 3.0)
    started = time.monotonic()
    held: list[float] = []

    def take(_: int) -> None:
        with locked(uri) as lease:
            held.append(time.monotonic())
            time.sleep(0.3)
            lease.require(0.1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(take, range(4)))
    assert min(held) - started > 1.9, "S3's clock has whole seconds"
    assert all(later - earlier >= 0.3 for earlier, later in zip(sorted(held), sorted(held)[1:], strict=False))


def test_a_holder_that_takes_too_long_is_told_and_lets_the_next_one_be(
    bucket_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"{bucket_prefix}/lock"
    monkeypatch.setattr(lock, "LEASE_SECONDS", 1.0)
    with locked(uri) as lease:
        time.sleep(2.2)
        with locked(uri):
            with pytest.raises(GiftError, match=f"too little is left of the 1 seconds of the lock {uri}"):
                lease.require(0)
            assert list_paths(bucket_prefix) == ["lock"]
    with locked(uri):
        pass


def test_a_lease_whose_first_answer_was_lost_ends_when_s3_says(
    faulty_store: FaultyProxy, bucket_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_object(f"{bucket_prefix}/lock", b"a process that was killed")
    monkeypatch.setattr(lock, "LEASE_SECONDS", 2.0)
    time.sleep(3.1)  # it can be taken over at once
    puts = iter(range(99))
    faulty_store.fault_of = lambda method, _path: "lost answer" if method == "PUT" and next(puts) == 1 else None
    monkeypatch.setattr(lock, "PAUSE_SECONDS", 4.0)
    with locked(f"{bucket_prefix}/lock") as lease:
        there = list_objects(bucket_prefix)
        since = (there.now - there.objects[0].modified).total_seconds()
        with pytest.raises(GiftError, match="too little is left"):
            lease.require(2.0 - since + 1.0)  # S3's clock has whole seconds
    assert len(faulty_store.faults) == 1


def test_a_holder_whose_machine_was_asleep_is_told(bucket_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uri, clock = f"{bucket_prefix}/lock", time.clock_gettime
    with locked(uri) as lease:
        monkeypatch.setattr(time, "clock_gettime", lambda which: clock(which) + 300)
        with pytest.raises(GiftError, match=f"too little is left of the 120 seconds of the lock {uri}"):
            lease.require(0)
    assert list_paths(bucket_prefix) == ["lock"], "it may be another's by now"

"""What a store does wrong for a moment costs a moment; what it goes on doing is named in one line, and waited for."""

import random
from pathlib import Path

import pytest
from faulty_proxy import Fault, FaultyProxy, FirstRequests
from stored_objects import object_uri

from gift.errors import GiftError, ServiceAwayError
from gift.storage import check_storage, download_directory, read_manifest, upload_directory

MOMENTARY: tuple[Fault, ...] = ("away", "500", "503", "slow", "truncated", "lost answer")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    for name in "abc":
        (tmp_path / "files" / name).write_text(f"the content of {name} " * 1000)
    return tmp_path / "files"


@pytest.mark.parametrize("fault", MOMENTARY)
def test_a_momentary_fault_of_any_request_costs_nothing(
    faulty_store: FaultyProxy, folder: Path, bucket_prefix: str, tmp_path: Path, fault: Fault
) -> None:
    uri = f"{bucket_prefix}/files"
    for part, moment in enumerate(("/a", "/manifest.json")):
        faulty_store.fault_of = FirstRequests(
            fault, 1, lambda method, path, end=moment: method == "PUT" and path.endswith(end)
        )
        upload_directory(folder, f"{uri}-{part}")
    assert len(faulty_store.faults) == 2
    faulty_store.fault_of = FirstRequests(fault, 1, lambda method, path: method == "GET" and path.endswith("/a"))
    for part in range(2):
        download_directory(f"{uri}-{part}", tmp_path / f"copy-{part}")
        assert (tmp_path / f"copy-{part}" / "a").read_text() == (folder / "a").read_text()
    assert len(faulty_store.faults) == 3


@pytest.mark.parametrize("fault", ["away", "500", "503", "truncated"])
def test_a_fault_that_stays_is_an_outage_of_s3_by_name(
    faulty_store: FaultyProxy, folder: Path, bucket_prefix: str, tmp_path: Path, fault: Fault
) -> None:
    uri = f"{bucket_prefix}/files"
    upload_directory(folder, uri)
    data = object_uri(uri, "b").partition("/gift/")[2]
    faulty_store.fault_of = lambda _method, path: fault if path.endswith(data) else None
    with pytest.raises(ServiceAwayError, match=f"S3 at 127.0.0.1:{faulty_store.port}"):
        download_directory(uri, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    faulty_store.fault_of = lambda _method, path: fault if path.endswith("manifest.json") else None
    with pytest.raises(ServiceAwayError, match=f"S3 at 127.0.0.1:{faulty_store.port}"):
        read_manifest(uri)


@pytest.mark.parametrize("fault", MOMENTARY)
def test_a_momentary_fault_of_any_part_of_a_large_file_costs_nothing(
    faulty_store: FaultyProxy, bucket_prefix: str, tmp_path: Path, fault: Fault
) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "large").write_bytes(random.Random(0).randbytes(40 * 2**20 + 7))
    upload_directory(tmp_path / "files", f"{bucket_prefix}/files")
    faulty_store.fault_of = FirstRequests(fault, 3, lambda method, path: method == "GET" and path.endswith("/large"))
    download_directory(f"{bucket_prefix}/files", tmp_path / "copy")
    assert len(faulty_store.faults) == 3
    assert (tmp_path / "copy" / "large").read_bytes() == (tmp_path / "files" / "large").read_bytes()


def test_a_key_that_is_refused_half_way_is_no_outage_and_leaves_no_directory(
    faulty_store: FaultyProxy, folder: Path, bucket_prefix: str
) -> None:
    uri = f"{bucket_prefix}/files"
    faulty_store.fault_of = lambda method, path: "403" if method == "PUT" and path.endswith("/c") else None
    with pytest.raises(GiftError, match="refuses our key for bucket gift") as refused:
        upload_directory(folder, uri)
    assert not isinstance(refused.value, ServiceAwayError)
    faulty_store.fault_of = lambda _method, _path: None
    assert read_manifest(uri) is None
    assert upload_directory(folder, uri) == read_manifest(uri)


def test_a_store_that_overwrites_although_it_is_told_not_to_is_refused(
    faulty_store: FaultyProxy, bucket_prefix: str
) -> None:
    check_storage(bucket_prefix)
    puts = iter(range(9))
    faulty_store.fault_of = lambda method, _path: "claims success" if method == "PUT" and next(puts) == 1 else None
    with pytest.raises(
        GiftError, match=f"S3 at 127.0.0.1:{faulty_store.port} overwrites objects although it is told not to"
    ):
        check_storage(bucket_prefix)

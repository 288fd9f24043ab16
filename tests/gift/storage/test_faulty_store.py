"""What a store does wrong for a moment costs a moment; what it goes on doing is named in one line, and waited for."""

import json
import os
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from botocore import auth
from faulty_proxy import Fault, FaultyProxy, FirstRequests
from loopback import served
from stored_objects import object_uri

from gift.errors import GiftError, ServiceAwayError
from gift.storage import check_storage, delete_paths, download_directory, read_manifest, upload_directory

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


@pytest.mark.parametrize(("put", "header"), [(1, "If-None-Match"), (2, "If-Match")])
def test_a_store_that_overwrites_although_it_is_told_not_to_is_refused(
    faulty_store: FaultyProxy, bucket_prefix: str, put: int, header: str
) -> None:
    check_storage(bucket_prefix)
    puts = iter(range(9))
    faulty_store.fault_of = lambda method, _path: "claims success" if method == "PUT" and next(puts) == put else None
    with pytest.raises(
        GiftError,
        match=rf"S3 at 127.0.0.1:{faulty_store.port} overwrites objects although it is told not to \({header}\)",
    ):
        check_storage(bucket_prefix)


def test_a_store_that_knows_no_conditions_is_refused_and_not_waited_for(
    faulty_store: FaultyProxy, bucket_prefix: str
) -> None:
    puts = iter(range(9))
    faulty_store.fault_of = lambda method, _path: (
        (501, "NotImplemented") if method == "PUT" and next(puts) == 1 else None
    )
    with pytest.raises(GiftError, match=r"does not know how to write only where nobody else has \(If-None-Match\)"):
        check_storage(bucket_prefix)
    faulty_store.fault_of = lambda method, _path: (501, "NotImplemented") if method == "GET" else None
    with pytest.raises(GiftError, match="NotImplemented") as refused:
        read_manifest(f"{bucket_prefix}/files")
    assert not isinstance(refused.value, ServiceAwayError)


@pytest.mark.parametrize(("answer", "away"), [((400, "RequestTimeout"), True), ((400, "ExpiredToken"), False)])
def test_what_s3_calls_a_fault_of_a_moment_is_waited_for_whatever_its_status(
    faulty_store: FaultyProxy, bucket_prefix: str, answer: tuple[int, str], away: bool
) -> None:
    faulty_store.fault_of = lambda _method, _path: answer
    with pytest.raises(GiftError) as fault:
        read_manifest(f"{bucket_prefix}/files")
    assert isinstance(fault.value, ServiceAwayError) is away


@pytest.mark.parametrize(("code", "away"), [("SlowDown", True), ("InternalError", True), ("AccessDenied", False)])
def test_one_object_of_many_that_cannot_be_deleted_now_is_waited_for(
    faulty_store: FaultyProxy, bucket_prefix: str, code: str, away: bool
) -> None:
    answer = f"<DeleteResult><Error><Key>a</Key><Code>{code}</Code></Error></DeleteResult>"
    faulty_store.fault_of = lambda method, _path: (200, answer) if method == "POST" else None
    with pytest.raises(GiftError, match=f"cannot delete s3://gift/a, which is no longer needed: {code}") as fault:
        delete_paths(bucket_prefix, ["a", "b"])
    assert isinstance(fault.value, ServiceAwayError) is away


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_wrong_is_named_as_what_s3_refuses(
    bucket_prefix: str, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    now, clock = datetime.now(UTC), time.time
    monkeypatch.setattr(auth, "get_current_datetime", lambda **_: (now + timedelta(hours=hours)).replace(tzinfo=None))
    monkeypatch.setattr(time, "time", lambda: clock() + 3600 * hours)
    for action in (read_manifest, check_storage):
        with pytest.raises(ServiceAwayError, match=r"refuses our clock .* is [+-]3,[56]\d\d s off, set its time"):
            action(f"{bucket_prefix}/files")


@pytest.fixture
def gives_out_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """What a pod asks for its key, and the statuses of its next answers."""
    names = {"AccessKeyId": "AWS_ACCESS_KEY_ID", "SecretAccessKey": "AWS_SECRET_ACCESS_KEY"}
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of-this-pod")
    statuses: list[int] = []
    key = {"Token": "", "Expiration": soon}
    with monkeypatch.context() as taken:
        key |= {word: os.environ[name] for word, name in names.items()}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status = statuses.pop(0) if statuses else 200
                content = json.dumps(key).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        for name in names.values():
            taken.delenv(name)
        with served(Handler) as port:
            taken.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{port}/key")
            yield statuses


def test_what_gives_out_keys_may_be_away_as_s3_may(gives_out_keys: list[int], bucket_prefix: str) -> None:
    gives_out_keys += [500] * 3  # botocore asks so often
    with pytest.raises(ServiceAwayError, match=r"^no key for S3 is to be had now: .* container-role$"):
        read_manifest(f"{bucket_prefix}/files")
    gives_out_keys.clear()
    assert read_manifest(f"{bucket_prefix}/files") is None


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_key_with_the_last_line_end_of_its_file_is_no_outage(
    bucket_prefix: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"{os.environ[name]}\n")
    with pytest.raises(GiftError, match=f"^{name} begins or ends with a space or a line end") as refused:
        read_manifest(f"{bucket_prefix}/files")
    assert not isinstance(refused.value, ServiceAwayError)

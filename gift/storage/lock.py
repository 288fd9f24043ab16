"""A lock in S3, for what one process at a time must look at and change in a service that has no compare-and-set.

    take       the object is written, if it is not there (If-None-Match)
    take over  one that its holder has left behind is overwritten, if it is still the same (If-Match)
    let go     the object is deleted

A holder that died is waited for until its lease is over, by S3's own clock. Left out: renewing a lease, as what is done
under a lock takes seconds; and an order among those who wait.
"""

import contextlib
import os
import random
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from gift.errors import GiftError, ServiceAwayError
from gift.storage.client import Location, connect, error_code, is_taken, parse_uri, storage_faults

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

LEASE_SECONDS = 120.0
PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Lease:
    """A lock that is held."""

    uri: str
    until: float
    """By `_now`; nobody else takes the lock before."""

    def require(self, seconds: float) -> None:
        """Raises: ServiceAwayError: the lock may be somebody else's in so many seconds."""
        if _now() + seconds > self.until:
            raise ServiceAwayError(f"too little is left of the {LEASE_SECONDS:.0f} seconds of the lock {self.uri}")


@contextlib.contextmanager
def locked(uri: str) -> Iterator[Lease]:
    """Inside, this process alone holds the lock at `uri` (an object of S3), for `LEASE_SECONDS` at most.

    Raises:
        GiftError: S3 failed.
    """
    place, client = parse_uri(uri), connect()
    with storage_faults(client, place.bucket):
        until = _take(client, place)
    try:
        yield Lease(uri, until)
    finally:
        if _now() < until:
            with contextlib.suppress(GiftError), storage_faults(client, place.bucket):  # it ends by itself
                client.delete_object(Bucket=place.bucket, Key=place.prefix)


def wait_for_lock(uri: str) -> None:
    """Wait until whoever holds the lock now has let it go, or its lease is over; who takes it next is not waited for.

    Raises:
        GiftError: S3 failed.
    """
    place, client = parse_uri(uri), connect()
    with storage_faults(client, place.bucket):
        first = holder = _holder(client, place)
        while holder is not None and holder == first:
            time.sleep(PAUSE_SECONDS)
            holder = _holder(client, place)


def _holder(client: "S3Client", place: Location) -> str | None:
    """The ETag of the lease that somebody has now."""
    try:
        there = client.get_object(Bucket=place.bucket, Key=place.prefix)
    except ClientError as error:
        if error_code(error) != "NoSuchKey":
            raise
        return None
    return None if _is_over(there) else there["ETag"]


def _is_over(lease: "GetObjectOutputTypeDef") -> bool:
    now = parsedate_to_datetime(lease["ResponseMetadata"]["HTTPHeaders"]["date"])
    return (now - lease["LastModified"]).total_seconds() > LEASE_SECONDS


def _take(client: "S3Client", place: Location) -> float:
    """Wait for the lock; returns when its lease ends."""
    # Unique, so that the ETag of one lease is never that of another.
    note = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}".encode()
    while True:
        until = _now() + LEASE_SECONDS  # before S3's own begins
        if _write(client, place, note):
            return until
        time.sleep(random.uniform(0.5, 1.5) * PAUSE_SECONDS)


def _write(client: "S3Client", place: Location, note: bytes) -> bool:
    """Whether the lock is ours now."""
    condition: Any = {"IfNoneMatch": "*"}
    while True:
        try:
            client.put_object(Bucket=place.bucket, Key=place.prefix, Body=note, **condition)
            return True
        except ClientError as error:
            if not is_taken(error) and error_code(error) != "NoSuchKey":
                raise
        try:
            there = client.get_object(Bucket=place.bucket, Key=place.prefix)
        except ClientError as error:
            if error_code(error) != "NoSuchKey":
                raise
            return False
        if there["Body"].read() == note:  # the answer to our request was lost
            return True
        if "IfMatch" in condition or not _is_over(there):
            return False
        condition = {"IfMatch": there["ETag"]}


def _now() -> float:
    """Seconds, with those that this machine was asleep, in which `time.monotonic` stands still on Linux."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform.startswith("linux") else time.monotonic()

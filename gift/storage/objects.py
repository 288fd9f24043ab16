"""Work on many objects of S3 at once: transfers in parallel, listing, deleting. Faults are boto3's own exceptions."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeVar

from boto3.s3.transfer import TransferConfig, create_transfer_manager
from s3transfer.manager import TransferManager

from gift.errors import GiftError, ServiceAwayError
from gift.storage.client import MAX_REQUESTS, Location, is_momentary

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB = 1024**2
PART_BYTES = 16 * MIB  # larger files travel in parts of this size
FILES_AT_ONCE = 4
KEYS_PER_DELETE = 1000  # the limit of S3's DeleteObjects

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(
    shared: AbstractContextManager[Shared], function: Callable[[Shared, Item], Result], items: Iterable[Item]
) -> list[Result]:
    """`function` of what all share and every item, in order; the first exception cancels all the others, and is raised.

    The threads here wait for those of `shared`, which make the requests, and compute hashes.
    """
    pool = ThreadPoolExecutor(FILES_AT_ONCE)
    try:
        with shared as opened:  # left by an exception, it cancels what the others wait for
            futures = [pool.submit(function, opened, item) for item in items]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
    finally:
        pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures]


def open_transfers(client: "S3Client") -> TransferManager:
    """boto3's own way to send and copy objects, with one pool of `MAX_REQUESTS` request threads."""
    config = TransferConfig(
        multipart_threshold=PART_BYTES,
        multipart_chunksize=PART_BYTES,
        max_concurrency=MAX_REQUESTS,
        preferred_transfer_client="classic",  # the CRT client would ignore our time limits
    )
    return create_transfer_manager(client, config)


def keys_below(client: "S3Client", location: Location) -> set[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=f"{location.prefix}/")
    return {entry["Key"] for page in pages for entry in page.get("Contents", [])}


def delete_keys(client: "S3Client", bucket: str, keys: list[str]) -> None:
    for start in range(0, len(keys), KEYS_PER_DELETE):
        batch = keys[start : start + KEYS_PER_DELETE]
        answer = client.delete_objects(
            Bucket=bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
        )
        for fault in answer.get("Errors", []):
            kind = ServiceAwayError if is_momentary(fault["Code"]) else GiftError
            raise kind(f"cannot delete s3://{bucket}/{fault['Key']}, which is no longer needed: {fault['Code']}")

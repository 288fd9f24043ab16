"""One object of S3 into a file: its parts arrive at the same time, and are hashed in their order while others arrive.

boto3's own download hands every 256 KiB to one thread that writes them all, and the file would have to be read from its
beginning when its last byte is there. Here each request writes its own part.

Left out: resuming. A part whose connection broke is asked for again, and of a file that failed nothing is kept.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from gift.storage.client import ATTEMPTS, MAX_REQUESTS
from gift.storage.objects import PART_BYTES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK_BYTES = 1024**2
BROKEN_BODY = (ReadTimeoutError, ResponseStreamingError, IncompleteReadError)
"""What botocore, which repeats requests by itself, raises once the answer has begun."""


@dataclass(frozen=True)
class ObjectSource:
    """An object, and the size in bytes that it should have."""

    client: "S3Client"
    bucket: str
    key: str
    size: int


@dataclass(frozen=True)
class Fetched:
    """What came: the size in bytes that S3 names, and the sha256 of the file as it lies on the disk."""

    size: int
    sha256: str


@contextmanager
def request_threads() -> Iterator[Executor]:
    """Threads for the requests of several files; left by an exception, they end with the parts that they are at."""
    pool = ThreadPoolExecutor(MAX_REQUESTS)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def fetch_object(source: ObjectSource, file: Path, threads: Executor) -> Fetched:
    """Write the object to a new file. One of another size is not read to its end.

    Raises: boto3's own exceptions, and OSError of the disk.
    """
    file.touch(exist_ok=False)
    starts = range(0, max(source.size, 1), PART_BYTES)  # an empty object is asked for, too: it may be missing
    parts = [threads.submit(_fetch_part, source, start, file) for start in starts]
    digest = hashlib.sha256()
    with file.open("rb") as content:
        for part in parts:
            size = part.result()
            if size != source.size:
                break
            for _ in range(PART_BYTES // CHUNK_BYTES):  # at the end of the file nothing is read, and nothing added
                digest.update(content.read(CHUNK_BYTES))
    return Fetched(size, digest.hexdigest())


def _fetch_part(source: ObjectSource, start: int, file: Path) -> int:
    """Returns: the size of the whole object."""
    whole = source.size <= PART_BYTES
    asked: Any = {} if whole else {"Range": f"bytes={start}-{min(start + PART_BYTES, source.size) - 1}"}
    for attempt in range(1, ATTEMPTS + 1):
        answer = source.client.get_object(Bucket=source.bucket, Key=source.key, **asked)
        try:
            with file.open("r+b", buffering=0) as part:
                part.seek(start)
                for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):
                    part.write(chunk)
        except BROKEN_BODY:
            if attempt == ATTEMPTS:
                raise
        else:
            break
    return answer["ContentLength"] if whole else int(answer["ContentRange"].rpartition("/")[2])

"""How we reach S3: the URI of a directory, a boto3 client with time limits, and its failures in plain words."""

import functools
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from s3transfer.exceptions import RetriesExceededError

from gift.errors import GiftError, ServiceAwayError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_REQUESTS = 10
CONNECT_SECONDS = 5
ANSWER_SECONDS = 60
ATTEMPTS = 3
SLOW_DOWN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
MOMENTARY = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "InternalError", "ServiceUnavailable"}
"""S3's words for faults of a moment, whatever the status (RequestTimeout: 400), or of one key of many."""
CLOCK_REFUSED = "RequestTimeTooSkewed"
MOST_CLOCK_SECONDS = 15 * 60
"""By which S3 lets a clock be wrong."""
OTHER_ETAG = '"00000000000000000000000000000000"'
"""Of no object."""
KEY_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
KEY_REFUSED = {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}


class DirectoryError(GiftError):
    """What a URI names is not there, not complete or damaged: another attempt would find the same."""


@dataclass(frozen=True)
class Location:
    """A directory URI, taken apart; `prefix` has no slash at either end."""

    bucket: str
    prefix: str

    def key(self, path: str) -> str:
        return f"{self.prefix}/{path}"


def parse_uri(uri: str) -> Location:
    """Take `s3://bucket/prefix` apart.

    Raises:
        DirectoryError: not of that form. The prefix is required: a directory owns everything below it.
    """
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([^/]+(?:/[^/]+)*)", uri)
    if match is None:
        raise DirectoryError(
            f"{uri!r} does not name a directory in S3: write s3://bucket/prefix, without a slash at its end"
        )
    return Location(bucket=match[1], prefix=match[2])


def connect() -> "S3Client":
    """A client for the endpoint and key of the environment, which gives up on a dead endpoint within 20 seconds.

    Raises:
        ServiceAwayError: what gives out keys (a pod's or a machine's role) does not answer.
        GiftError: the environment's settings cannot be used.
    """
    for name in KEY_VARIABLES:
        if (value := os.environ.get(name, "")) != value.strip():
            raise GiftError(f"{name} begins or ends with a space or a line end, which no key has: set it without")
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=2 * MAX_REQUESTS,  # s3transfer asks for sizes from threads beside the request threads
    )
    try:
        # a session of its own: boto3's default one would keep the first credentials it saw
        session = botocore.session.Session()
        session.register_component("data_loader", _service_descriptions())
        client: S3Client = boto3.session.Session(botocore_session=session).client("s3", config=config)
        _address(client)
        return client
    except CredentialRetrievalError as error:
        raise ServiceAwayError(_no_key(error)) from error
    except (BotoCoreError, ValueError) as error:
        _, login, rest = str(error).rpartition("@")  # it may have the address, and that a password
        said = f"…@{rest}" if login else rest
        raise GiftError(f"the S3 settings in the environment (AWS_*) cannot be used: {said}") from error


@functools.cache
def _service_descriptions() -> Any:
    """What botocore reads from its own package to make a client, and keeps: most of the time that one takes."""
    return botocore.session.Session().get_component("data_loader")


@contextmanager
def storage_faults(client: "S3Client", bucket: str) -> Iterator[None]:
    """Turn boto3's exceptions into one line that names the endpoint and the bucket, and never the key.

    Raises:
        DirectoryError: there is no such bucket.
        ServiceAwayError: S3 does not answer, or with a fault of its own.
        GiftError: for every other failed request.
    """
    where = _address(client)
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise GiftError(
            f"no credentials for S3 at {where} (bucket {bucket}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from error
    except ClientError as error:
        raise _kind(error)(_explain(error, where, bucket)) from error
    except (ConnectionError, HTTPClientError, IncompleteReadError, RetriesExceededError) as error:
        if "certificate verify failed" in str(error):  # OpenSSL's words; the same class tells of outages
            raise GiftError(
                f"S3 at {where} has a certificate that is not trusted here (bucket {bucket}): name the file with its "
                "authority in AWS_CA_BUNDLE (on a cluster: use an image that trusts it)"
            ) from error
        raise ServiceAwayError(
            f"cannot reach S3 at {where} (bucket {bucket}; {type(error).__name__}): check that it is running and that "
            "AWS_ENDPOINT_URL_S3 is right"
        ) from error
    except CredentialRetrievalError as error:
        raise ServiceAwayError(_no_key(error)) from error
    except BotoCoreError as error:
        raise GiftError(f"S3 at {where} failed for bucket {bucket}: {error}") from error


def _no_key(error: CredentialRetrievalError) -> str:
    """Without its text, which has what was answered."""
    return f"no key for S3 is to be had now: see what gives them out here, by boto3's name {error.kwargs['provider']}"


def _address(client: "S3Client") -> str:
    """`host:port`, without what else the endpoint may hold. Raises: ValueError: its port is none."""
    address = urlsplit(client.meta.endpoint_url)
    return f"{address.hostname}:{address.port or (443 if address.scheme == 'https' else 80)}"


def _kind(error: ClientError) -> type[GiftError]:
    if error_code(error) == "NoSuchBucket":
        return DirectoryError
    if error_code(error) == "404" and not error.operation_name.startswith("Head"):
        return ServiceAwayError  # S3 would say what is not there: its answer was cut off, or is somebody else's
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status == HTTPStatus.NOT_IMPLEMENTED:
        return GiftError
    at_fault = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in SLOW_DOWN
    return ServiceAwayError if at_fault or is_momentary(error_code(error)) or _clock_refused(error) else GiftError


def is_momentary(code: str) -> bool:
    """Whether S3's word for what is wrong says that the same request may succeed later."""
    return code in MOMENTARY


def _clock_refused(error: ClientError) -> bool:
    """A clock that is wrong is often set right within minutes, after a machine was asleep or moved."""
    code = error_code(error)
    return code == CLOCK_REFUSED or (code in KEY_REFUSED and abs(_seconds_ahead(error)) > MOST_CLOCK_SECONDS)


def _seconds_ahead(error: ClientError) -> float:
    """How far this machine's clock is ahead of S3's; 0 where S3 does not say."""
    date = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return time.time() - parsedate_to_datetime(date).timestamp() if date else 0.0


def error_code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "unknown")


def is_taken(error: ClientError) -> bool:
    """Whether S3 refuses a conditional write because somebody else was first, or is writing at this moment."""
    return error_code(error) in ("PreconditionFailed", "ConditionalRequestConflict")


def _explain(error: ClientError, where: str, bucket: str) -> str:
    code, operation = error_code(error), error.operation_name
    if code == "NoSuchBucket" or (code == "404" and operation == "HeadBucket"):
        return f"bucket {bucket} does not exist in S3 at {where}: create it, or correct storage.uri"
    if _clock_refused(error):
        return (
            f"S3 at {where} refuses our clock for bucket {bucket} ({operation}): this machine is "
            f"{_seconds_ahead(error):+,.0f} s off, set its time (NTP)"
        )
    if code in KEY_REFUSED:
        return (
            f"S3 at {where} refuses our key for bucket {bucket} ({operation}): check AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and the rights they have"
        )
    message = error.response.get("Error", {}).get("Message", "no further message")
    return f"S3 at {where} failed for bucket {bucket} ({operation}: {code}, {message})"


def put_object(uri: str, content: bytes) -> None:
    """Write one object that belongs to no directory of ours, in place of what is there.

    Raises:
        GiftError: S3 failed.
    """
    location = parse_uri(uri)
    client = connect()
    with storage_faults(client, location.bucket):
        client.put_object(Bucket=location.bucket, Key=location.prefix, Body=content)


def check_storage(uri: str) -> None:
    """See that `uri` (`s3://bucket` or `s3://bucket/prefix`) can be written, read and deleted in, with a small object.

    Raises:
        GiftError: names what failed: endpoint not reachable, bucket missing, key refused, no right to one of these, or
            a store that lets a second writer overwrite what a first one has just written.
    """
    probe = parse_uri(f"{uri}/.write-check-{uuid.uuid4().hex}")
    client = connect()
    with storage_faults(client, probe.bucket):
        client.head_bucket(Bucket=probe.bucket)
        client.put_object(Bucket=probe.bucket, Key=probe.prefix, Body=b"")
        try:
            client.get_object(Bucket=probe.bucket, Key=probe.prefix)["Body"].read()
            _require_refusal(client, probe, "If-None-Match", {"IfNoneMatch": "*"})
            _require_refusal(client, probe, "If-Match", {"IfMatch": OTHER_ETAG})
        finally:
            client.delete_object(Bucket=probe.bucket, Key=probe.prefix)


def _require_refusal(client: "S3Client", there: Location, header: str, condition: Any) -> None:
    try:
        client.put_object(Bucket=there.bucket, Key=there.prefix, Body=b"", **condition)
    except ClientError as error:
        if is_taken(error):
            return
        if error_code(error) != "NotImplemented":
            raise
        fault = "does not know how to write only where nobody else has"
    else:
        fault = "overwrites objects although it is told not to"
    raise GiftError(
        f"S3 at {_address(client)} {fault} ({header}), so two writers could mix their files: use a store that honours "
        "it"
    )

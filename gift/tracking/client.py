"""The connection to the MLflow server: is it there, how long may it take, and which of its errors are an outage."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from gift.errors import GiftError

CHECK_SECONDS = 5

# MLflow's own defaults (7 retries of 120 s each) let one call to a dead server block for minutes.
CLIENT_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

ACCESS_REFUSED = (401, 403)
TOO_BUSY = 429


def check_tracking() -> None:
    """Ask the server's /health, so that a run without a tracker stops before it starts.

    Raises:
        GiftError: MLFLOW_TRACKING_URI is missing or not http(s), or no MLflow server answers there within 5 seconds.
    """
    uri = _tracking_uri()
    try:
        response = requests.get(f"{uri.rstrip('/')}/health", timeout=CHECK_SECONDS)
    except requests.RequestException as error:
        raise GiftError(
            f"MLflow at {server_address()} does not answer ({type(error).__name__}); "
            "start the local services with `gift up`, or correct MLFLOW_TRACKING_URI"
        ) from None
    if response.status_code != requests.codes.ok or response.text.strip() != "OK":
        raise GiftError(
            f"what answers at {server_address()} is not a healthy MLflow server (HTTP {response.status_code} from "
            "/health); correct MLFLOW_TRACKING_URI, or restart the server"
        )


def mlflow_client() -> MlflowClient:
    """A client of the server in MLFLOW_TRACKING_URI, with short time limits where the environment sets none."""
    for name, value in CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)
    return MlflowClient(tracking_uri=_tracking_uri())


def server_address() -> str:
    """`host:port` of the server, without the credentials that the URI may carry."""
    return urlsplit(_tracking_uri()).netloc.rpartition("@")[2]


def is_outage(error: MlflowException) -> bool:
    """True when the same call may succeed later: no answer, a server fault, too many requests, or access refused."""
    # MLflow wraps every connection error and time-out as INTERNAL_ERROR, which maps to 500 like a server fault.
    status = error.get_http_status_code()
    return status >= 500 or status == TOO_BUSY or status in ACCESS_REFUSED


@contextmanager
def explain_outage(action: str) -> Iterator[None]:
    """Turn an outage during `action` into a GiftError; other MLflow errors are faults of the code and pass through."""
    try:
        yield
    except MlflowException as error:
        if not is_outage(error):
            raise
        # `from None`, because MLflow's message holds the whole URI, and with it a password.
        raise GiftError(f"{describe_outage(error)}, while {action}") from None


@contextmanager
def allow_existing() -> Iterator[None]:
    """Let a creation pass when somebody else, or an attempt whose answer was lost, has created the thing already."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def describe_outage(error: MlflowException) -> str:
    """One clause for logs and messages: which server, and what kind of trouble."""
    if error.get_http_status_code() in ACCESS_REFUSED:
        return f"MLflow at {server_address()} refuses access ({error.error_code}): check user name, password or token"
    return (
        f"MLflow at {server_address()} does not answer, or answers with a server error: check that it runs, "
        "what its log says, and that MLFLOW_TRACKING_URI is right"
    )


def _tracking_uri() -> str:
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        raise GiftError("MLFLOW_TRACKING_URI is not set; run `gift up`, or set it to the address of your server")
    if urlsplit(uri).scheme not in ("http", "https"):
        raise GiftError("MLFLOW_TRACKING_URI must be the http:// or https:// address of an MLflow server")
    return uri

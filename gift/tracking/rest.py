"""Requests to MLflow's REST API: address and credentials from the environment, time limits, retries, and its errors.

`import mlflow` takes seconds, whichever part of it is wanted, and every stage would pay them. What a stage needs are a
few requests (https://mlflow.org/docs/latest/api_reference/rest-api.html).

Left out: what is asked for (`gift.tracking.client`), and signing in (`gift.tracking.credentials`).
"""

import os
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from gift.errors import GiftError
from gift.tracking.credentials import account_sign_in, sign_in, verification
from gift.tracking.settings import setting

API = "/api/2.0/mlflow"
TEMPORARY = (408, 429, 500, 502, 503, 504)
"""The answers after which MLflow's client tries again."""
NOT_TWICE = (f"{API}/runs/create", f"{API}/model-versions/create")
"""What must not be repeated where an answer is lost: it would make a second one."""
NOT_TRUSTED = "certificate not trusted"
"""The error code of a server whose certificate no authority that is known here has signed."""
LONGEST_MESSAGE = 300


class MlflowError(Exception):
    """MLflow did not do what it was asked for, or did not answer."""

    def __init__(self, status: int, error_code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        """Of HTTP; 503 without an answer."""
        self.error_code = error_code
        """MLflow's own, for example RESOURCE_DOES_NOT_EXIST; else `HTTP <status>`, `NOT_TRUSTED`, or the name of the
        exception."""
        self.message = message
        """One line, without the address and what it may hold of a password."""


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI of the server that counts here, without a slash at its end.

    Raises:
        GiftError: it is missing, or not http(s).
    """
    uri = setting("MLFLOW_TRACKING_URI")
    if not uri:
        raise GiftError("MLFLOW_TRACKING_URI is not set; run `gift up`, or set it to the address of your server")
    if urlsplit(uri).scheme not in ("http", "https"):
        raise GiftError("MLFLOW_TRACKING_URI must be the http:// or https:// address of an MLflow server")
    return uri.rstrip("/")


class Rest:
    """A connection to one server, for one thread."""

    def __init__(self) -> None:
        """Raises: GiftError: the settings in the environment can't be used."""
        self.uri = tracking_uri()
        self._timeout = _number("MLFLOW_HTTP_REQUEST_TIMEOUT", 10)
        self._verify = verification()
        self._session = requests.Session()
        self._session.headers.update(sign_in())
        self._session.auth = account_sign_in()
        self._session.cert = os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH") or None
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=_retries()))
        for endpoint in NOT_TWICE:
            self._session.mount(self.uri + endpoint, HTTPAdapter(max_retries=_retries(repeatable=False)))

    def get(self, endpoint: str, **parameters: object) -> dict[str, Any]:
        """Ask `endpoint`, for example "runs/get".

        Raises:
            MlflowError: no answer, or a refusal.
        """
        return self._answer("GET", endpoint, params=parameters)

    def post(self, endpoint: str, **body: object) -> dict[str, Any]:
        """Raises: MlflowError: no answer, or a refusal."""
        return self._answer("POST", endpoint, json=body)

    def patch(self, endpoint: str, **body: object) -> dict[str, Any]:
        """Raises: MlflowError: no answer, or a refusal."""
        return self._answer("PATCH", endpoint, json=body)

    def delete(self, endpoint: str, **body: object) -> dict[str, Any]:
        """Raises: MlflowError: no answer, or a refusal."""
        return self._answer("DELETE", endpoint, json=body)

    def put_file(self, url: str, content: bytes) -> None:
        """Store `content` at `url`, with the server's credentials.

        Raises:
            MlflowError: no answer, or a refusal.
        """
        self._request("PUT", url, data=content)

    def _answer(self, method: str, endpoint: str, **content: object) -> dict[str, Any]:
        response = self._request(method, f"{self.uri}{API}/{endpoint}", **content)
        answer = _json_object(response)
        if answer is None:
            raise MlflowError(HTTPStatus.BAD_GATEWAY, "no JSON", "its answer is no JSON")
        return answer

    def _request(self, method: str, url: str, **content: Any) -> requests.Response:
        try:
            response = self._session.request(
                method, url, timeout=self._timeout, verify=self._verify, allow_redirects=False, **content
            )
        except (requests.RequestException, OSError) as error:  # OSError: a certificate file that is not there
            distrusted = "certificate verify failed" in str(error)  # OpenSSL's words; the same class tells of outages
            kind = NOT_TRUSTED if distrusted else type(error).__name__
            raise MlflowError(HTTPStatus.SERVICE_UNAVAILABLE, kind, kind) from None  # its text has the address
        if response.status_code != requests.codes.ok:
            raise _refusal(response)
        return response


def _refusal(response: requests.Response) -> MlflowError:
    if response.is_redirect:  # followed, a POST would become a GET, and the page that asks to sign in an answer
        message = "it sends us on to another address; set MLFLOW_TRACKING_URI to that of MLflow itself"
        return MlflowError(response.status_code, f"HTTP {response.status_code}", message)
    answer = _json_object(response) or {}
    message = " ".join(str(answer.get("message") or response.reason or "no reason given").split())
    error_code = str(answer.get("error_code") or f"HTTP {response.status_code}")
    return MlflowError(response.status_code, error_code, message[:LONGEST_MESSAGE])


def _json_object(response: requests.Response) -> dict[str, Any] | None:
    try:
        answer = response.json()
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _retries(*, repeatable: bool = True) -> Retry:
    """MLflow's own defaults (7 retries of 120 s each) let one call to a dead server block for minutes."""
    return Retry(
        total=int(_number("MLFLOW_HTTP_REQUEST_MAX_RETRIES", 2)),
        backoff_factor=_number("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", 1),
        status_forcelist=TEMPORARY,
        allowed_methods=None if repeatable else ("GET",),  # connections that fail are tried again in any case
        raise_on_status=False,
        respect_retry_after_header=False,  # it may ask for hours; how long to wait is for `ServicePatience` to say
    )


def _number(name: str, default: float) -> float:
    try:
        return float(os.environ.get(name) or default)
    except ValueError:
        raise GiftError(f"{name} is {os.environ[name]!r}, which is no number") from None

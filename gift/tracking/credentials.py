"""How we sign in to MLflow, and whom we take for it: the variables and the file of MLflow's own client.

https://mlflow.org/docs/latest/self-hosting/security/basic-http-auth/

A pod may also sign in with its own account (MLFLOW_TRACKING_AUTH), which KFP's MLflow plugin asks for by default.

Left out: sign-ins that need a plugin or a library of their own; a variable that asks for one is refused.
"""

import base64
import os
from collections.abc import Callable
from configparser import ConfigParser, Error
from pathlib import Path

import requests

from gift.errors import GiftError
from gift.tracking.settings import setting

FILE = Path("~/.mlflow/credentials")
AUTH = "MLFLOW_TRACKING_AUTH"
ACCOUNT_SIGN_INS = ("kubernetes", "kubernetes-namespaced")
"""MLflow's words for the pod's account; with the second, its namespace is the workspace."""
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts a pod's token, a new one every hour, and its namespace."""
SIGV4 = "MLFLOW_TRACKING_AWS_SIGV4"
WORKSPACE_HEADER = "X-MLFLOW-WORKSPACE"


def sign_in() -> dict[str, str]:
    """The headers of every request.

    A user name comes before a token; one in MLFLOW_TRACKING_URI, which requests reads itself, before both.

    Raises:
        GiftError: the environment asks for another kind of sign-in.
    """
    for name in (AUTH, SIGV4):
        if os.environ.get(name, "").lower() not in ("", "0", "false", *(ACCOUNT_SIGN_INS if name == AUTH else ())):
            raise GiftError(
                f"{name} is set, which stages can't do; use MLFLOW_TRACKING_USERNAME or MLFLOW_TRACKING_TOKEN"
            )
    user, password = _login("MLFLOW_TRACKING_USERNAME"), _login("MLFLOW_TRACKING_PASSWORD")
    token, workspace = setting("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_WORKSPACE", "").strip()
    if not workspace and os.environ.get(AUTH) == "kubernetes-namespaced":
        workspace = _of_account("namespace")
    headers = {WORKSPACE_HEADER: workspace} if workspace else {}
    if user and password:
        headers["Authorization"] = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    elif token:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def account_sign_in() -> Callable[[requests.PreparedRequest], requests.PreparedRequest] | None:
    """What signs every request with the token of this pod's account, as it is by then; None where nobody asks for it.

    Raises:
        GiftError: this is no pod, or its account has no token.
    """
    if os.environ.get(AUTH) not in ACCOUNT_SIGN_INS:
        return None
    _of_account("token")

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {_of_account('token')}"
        return request

    return sign


def verification() -> bool | str:
    """Whether the server's certificate is verified, or the file of those who may sign it; requests' `verify`.

    Raises:
        GiftError: the environment wants both.
    """
    insecure = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("1", "true")
    authority = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
    if insecure and authority:
        raise GiftError("MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH are both set; unset one")
    return authority or not insecure


def _of_account(name: str) -> str:
    try:
        return (ACCOUNT / name).read_text(encoding="utf-8").strip()
    except OSError:
        raise GiftError(
            f"{AUTH} is {os.environ.get(AUTH)}, but there is no {ACCOUNT / name}: give the pod an account with a "
            "token, or set MLFLOW_TRACKING_USERNAME or MLFLOW_TRACKING_TOKEN instead"
        ) from None


def _login(name: str) -> str | None:
    if value := setting(name):
        return value
    file = ConfigParser(interpolation=None)
    try:
        file.read(FILE.expanduser())
    except (Error, UnicodeDecodeError):
        raise GiftError(f"{FILE} can't be read; correct it, or set {name}") from None
    return file.get("mlflow", name.lower(), fallback=None)

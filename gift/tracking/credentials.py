"""How we sign in to MLflow, and whom we take for it: the variables and the file of MLflow's own client.

https://mlflow.org/docs/latest/self-hosting/security/basic-http-auth/

Left out: sign-ins that need a plugin or a library of their own; a variable that asks for one is refused.
"""

import base64
import os
from configparser import ConfigParser, Error
from pathlib import Path

from gift.errors import GiftError

FILE = Path("~/.mlflow/credentials")
FOREIGN_SIGN_INS = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4")


def sign_in() -> dict[str, str]:
    """The headers of every request.

    A user name comes before a token; one in MLFLOW_TRACKING_URI, which requests reads itself, before both.

    Raises:
        GiftError: the environment asks for another kind of sign-in.
    """
    for name in FOREIGN_SIGN_INS:
        if os.environ.get(name, "").lower() not in ("", "0", "false"):
            raise GiftError(
                f"{name} is set, which stages can't do; use MLFLOW_TRACKING_USERNAME or MLFLOW_TRACKING_TOKEN"
            )
    user, password = _login("MLFLOW_TRACKING_USERNAME"), _login("MLFLOW_TRACKING_PASSWORD")
    token, workspace = os.environ.get("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_WORKSPACE", "").strip()
    headers = {"X-MLFLOW-WORKSPACE": workspace} if workspace else {}
    if user and password:
        headers["Authorization"] = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    elif token:
        headers["Authorization"] = f"Bearer {token}"
    return headers


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


def _login(name: str) -> str | None:
    if value := os.environ.get(name):
        return value
    file = ConfigParser(interpolation=None)
    try:
        file.read(FILE.expanduser())
    except (Error, UnicodeDecodeError):
        raise GiftError(f"{FILE} can't be read; correct it, or set {name}") from None
    return file.get("mlflow", name.lower(), fallback=None)

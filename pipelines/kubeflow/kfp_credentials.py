"""Where Kubeflow Pipelines is and who asks: an address, and a bearer token from the environment.

KFP_TOKEN holds a token, or KF_PIPELINES_SA_TOKEN_PATH (which is KFP's own name for it) the path of one that Kubernetes
mounts and renews, so it is read anew for every call. A token is never printed, and never sent without encryption but
to this machine or inside a cluster.

Left out: sign-in through a browser or a cookie, and Google's IAP.
"""

import ipaddress
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gift.errors import GiftError

TOKEN = "KFP_TOKEN"  # noqa: S105  (names of variables, not their values)
TOKEN_FILE = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105


def check_address(host: str) -> str:
    """The address without a slash at its end.

    Raises:
        GiftError: it is not a URL, or a token would travel unencrypted.
    """
    host = host.strip()
    try:
        parts = urlsplit(host)
        has_port = parts.port != 0
    except ValueError:  # whose text may be a part of a password
        has_port = False
    if not has_port:
        raise GiftError("the address of KFP is no URL, or its port no number from 1 to 65535; correct it")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise GiftError(
            f"the address of KFP must be like https://kubeflow.example.org/pipeline, or http://127.0.0.1:8888 for a "
            f"`kubectl port-forward`; got {parts.scheme}://{parts.hostname or ''}"
        )
    if parts.scheme == "http" and not _is_internal(parts.hostname) and _token() is not None:
        raise GiftError(f"the KFP token would travel unencrypted to {parts.hostname}; use an https:// address")
    return host.rstrip("/")


def _is_internal(hostname: str) -> bool:
    """This machine, or a service inside the same cluster."""
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return hostname == "localhost" or hostname.endswith((".svc", ".svc.cluster.local"))


def set_token(configuration: Any) -> None:
    """Put the present token into a `kfp_server_api.Configuration`.

    Raises:
        GiftError: the file with the token can't be read.
    """
    token = _token()
    if token is not None:
        configuration.api_key["authorization"] = token


def _token() -> str | None:
    path = os.environ.get(TOKEN_FILE)
    token = _mounted(path) if path else os.environ.get(TOKEN, "").strip()
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise GiftError(f"the KFP token in {path or TOKEN} is none: it must be one word of ASCII; put the token there")
    return token or None


def _mounted(path: str) -> str:
    try:
        token = Path(path).read_bytes().decode(errors="replace").strip()
    except OSError as error:
        raise GiftError(f"cannot read the KFP token in {path} ({TOKEN_FILE}): {error.strerror}") from None
    if not token:
        raise GiftError(f"there is no KFP token in {path} ({TOKEN_FILE}): it is empty; put the token there")
    return token

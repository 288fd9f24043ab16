"""Is an image in its registry? Asked as a container runtime asks: the manifest, by its digest.

https://distribution.github.io/distribution/spec/api/ and …/spec/auth/token/. Credentials are those that Docker's own
configuration has for the registry; the cluster's may be others, so that a refusal here proves nothing.

Left out: credential helpers, and registries that speak neither.
"""

import base64
import binascii
import ipaddress
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import requests
from requests.auth import HTTPBasicAuth

from pipelines.doctor.check_result import CheckResult, bad, good, note

Sign = Callable[[requests.PreparedRequest], requests.PreparedRequest]
"""Puts a login into a request."""

SUBJECT = "image"
SECONDS = 15
DOCKER_HUB = "registry-1.docker.io"
ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


def check_image(image: str) -> CheckResult:
    """`image` is `registry/name@sha256:…`."""
    name, _, digest = image.partition("@")
    registry, repository = _split(name)
    url = f"{_scheme(registry)}://{registry}/v2/{repository}/manifests/{digest}"
    try:
        answer = _ask(url, registry)
    except requests.RequestException as error:
        return note(SUBJECT, f"registry {registry} is not reached from here ({type(error).__name__}): not checked")
    match answer.status_code:
        case 200:
            return good(SUBJECT, f"{digest[:19]}… is in {registry}/{repository}")
        case 401 | 403:
            return note(
                SUBJECT, f"{registry} wants a sign-in that this machine does not have: not checked (docker login)"
            )
        case 404:
            return bad(SUBJECT, f"{registry} has no {repository}@{digest}; push it (gift images build --push)")
        case status:
            return note(SUBJECT, f"{registry} answers HTTP {status}: not checked")


def _split(name: str) -> tuple[str, str]:
    """Registry and repository; a first part that is no host means Docker Hub, as for every container runtime."""
    first, _, rest = name.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        registry, repository = (DOCKER_HUB if first == "docker.io" else first), rest
    else:
        registry, repository = DOCKER_HUB, name
    tagless = re.sub(r":[^/]*$", "", repository)
    return registry, tagless if "/" in tagless or registry != DOCKER_HUB else f"library/{tagless}"


def _scheme(registry: str) -> str:
    """Container runtimes speak HTTP to registries on loopback only."""
    host = registry.partition(":")[0]
    try:
        return "http" if ipaddress.ip_address(host).is_loopback else "https"
    except ValueError:
        return "http" if host == "localhost" else "https"


def _ask(url: str, registry: str) -> requests.Response:
    login = _login(registry)
    answer = _get(url, login)
    if answer.status_code != requests.codes.unauthorized:
        return answer
    challenge = answer.headers.get("WWW-Authenticate", "")
    if challenge.lower().startswith("bearer "):
        return _get(url, _bearer(_token(challenge, login)))
    return answer


def _get(url: str, auth: Sign | None) -> requests.Response:
    return requests.get(url, headers={"Accept": ACCEPT}, auth=auth, timeout=SECONDS, stream=True)


def _token(challenge: str, login: Sign | None) -> str:
    wanted = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    parameters = {key: wanted[key] for key in ("service", "scope") if key in wanted}
    answer = requests.get(wanted.get("realm", ""), params=parameters, auth=login, timeout=SECONDS)
    try:
        given = answer.json()
    except requests.JSONDecodeError:
        return ""
    return str(given.get("token") or given.get("access_token") or "") if isinstance(given, dict) else ""


def _bearer(token: str) -> Sign:
    """requests would else put in what ~/.netrc has for the host."""

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return sign


def _login(registry: str) -> Sign | None:
    """What `docker login` has written for the registry, if anything."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    key = "https://index.docker.io/v1/" if registry == DOCKER_HUB else registry
    try:
        entry = json.loads((folder / "config.json").read_text(encoding="utf-8"))["auths"][key]["auth"]
        user, _, password = base64.b64decode(entry).decode().partition(":")
    except (OSError, ValueError, KeyError, TypeError, binascii.Error):
        return None
    return HTTPBasicAuth(user, password)

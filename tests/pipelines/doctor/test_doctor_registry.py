"""Whether an image is in its registry, against a server that answers as the distribution specification says."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from loopback import served

from pipelines.doctor.registry import check_image

DIGEST = f"sha256:{'a' * 64}"


@dataclass
class Registry:
    """What it has, and whom it lets in: everybody, whoever brings a token, or a login."""

    host: str = ""
    images: set[str] = field(default_factory=set)
    wants: str = ""
    login: str = ""
    """`user:password` that a token, or everything, is given for; empty: nobody is asked."""
    accepted: str = ""


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Registry]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            basic = f"Basic {base64.b64encode(registry.login.encode()).decode()}"
            given = self.headers.get("authorization", "")
            if parts.path == "/token":
                assert parse_qs(parts.query) == {"service": ["here"], "scope": ["repository:team/gift:pull"]}
                self._send(*((200, {"token": "pulls"}) if not registry.login or given == basic else (401, {})))
                return
            registry.accepted = self.headers.get("accept", "")
            wanted = {"": "", "token": "Bearer pulls", "login": basic}[registry.wants]
            if wanted and given != wanted:
                self._send(401, {})
            else:
                self._send(200 if parts.path in registry.images else 404, {})

        def _send(self, status: int, answer: object) -> None:
            content = json.dumps(answer).encode()
            self.send_response(status)
            if status == 401:
                bearer = f'Bearer realm="http://{registry.host}/token",service="here",scope="repository:team/gift:pull"'
                self.send_header("www-authenticate", 'Basic realm="x"' if registry.wants == "login" else bearer)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with served(Handler) as port:
        registry.host = f"127.0.0.1:{port}"
        yield registry


@pytest.mark.parametrize("wants", ["", "token"])
def test_an_image_that_is_there_is_found_by_its_digest(registry: Registry, wants: str) -> None:
    registry.wants, registry.images = wants, {f"/v2/team/gift/manifests/{DIGEST}"}
    result = check_image(f"{registry.host}/team/gift@{DIGEST}")
    assert (result.state, result.text) == ("ok", f"sha256:{'a' * 12}… is in {registry.host}/team/gift")
    assert "application/vnd.oci.image.index.v1+json" in registry.accepted
    assert check_image(f"{registry.host}/team/gift:v1@{DIGEST}").state == "ok"


def test_an_image_that_is_not_there_fails(registry: Registry) -> None:
    result = check_image(f"{registry.host}/team/gift@{DIGEST}")
    assert result.state == "fails"
    assert f"has no team/gift@{DIGEST}; push it" in result.text


@pytest.mark.parametrize("wants", ["token", "login"])
def test_a_registry_with_a_login_takes_dockers(registry: Registry, wants: str, tmp_path: Path) -> None:
    registry.wants, registry.login, registry.images = wants, "me:secret", {f"/v2/team/gift/manifests/{DIGEST}"}
    result = check_image(f"{registry.host}/team/gift@{DIGEST}")
    assert result.state == "note"
    assert "wants a sign-in that this machine does not have: not checked (docker login)" in result.text
    entry = {"auth": base64.b64encode(b"me:secret").decode()}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: entry}}))
    assert check_image(f"{registry.host}/team/gift@{DIGEST}").state == "ok"


def test_a_registry_out_of_reach_is_not_judged() -> None:
    result = check_image(f"127.0.0.1:9/gift@{DIGEST}")
    assert (result.state, "is not reached from here" in result.text) == ("note", True)

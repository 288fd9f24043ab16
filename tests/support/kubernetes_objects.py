"""A small HTTP server that answers as the Kubernetes API does about objects that a test puts there.

It has objects, listings with a label selector of equalities, logs of pods, deletions, and SelfSubjectAccessReviews. It
refuses as Kubernetes does, with a `Status`: a token that it does not know (401), a path that the account may not read
(403), what is not there (404). A listing of a namespace that does not exist is empty.

Left out: other writes, watches and field selectors.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from loopback import served

Json = dict[str, Any]
REVIEWS = "/apis/authorization.k8s.io/v1/"


@dataclass
class ObjectServer:
    """What the server knows, and whom it lets in."""

    address: str = ""
    objects: dict[str, Json] = field(default_factory=dict)
    """By path: `/api/v1/namespaces/gift/pods/x`."""
    logs: dict[str, str] = field(default_factory=dict)
    """By the path of the pod."""
    forbidden: set[str] = field(default_factory=set)
    """Paths of listings and objects that the account may not read."""
    refused_rights: set[tuple[str, str]] = field(default_factory=set)
    """(verb, resource) that a review of the account of a run says no to, and with `you` before it one of the caller."""
    on_delete: Callable[[str], object] = lambda path: None
    """Is called with the path of each object that is deleted."""
    token: str = "token-of-a-test"
    requests: list[str] = field(default_factory=list)

    def put(self, listing: str, name: str, **content: Any) -> Json:
        """Put an object there; `listing` is the path of its kind, `content` all but its name."""
        metadata = {"name": name} | content.pop("metadata", {})
        return self.objects.setdefault(f"{listing}/{name}", {"metadata": metadata} | content)

    def kubeconfig(self, path: Path, token: str | None = None) -> Path:
        entries = {
            "clusters": [{"name": "c", "cluster": {"server": self.address}}],
            "users": [{"name": "u", "user": {"token": self.token if token is None else token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        }
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "x"} | entries))
        return path

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if path in self.forbidden:
            return 403, _status(403, "Forbidden", f'User "dev" cannot list resource "{path.rpartition("/")[2]}"')
        if path.endswith("/log") and path.removesuffix("/log") in self.logs:
            return 200, self.logs[path.removesuffix("/log")]
        if path in self.objects:
            return 200, self.objects[path]
        below = [item for key, item in self.objects.items() if key.rpartition("/")[0] == path]
        kind = path.rpartition("/")[2]
        if not below and kind not in LISTINGS:
            return 404, _status(404, "NotFound", f"{kind} not found")
        return 200, {"kind": "List", "items": [item for item in below if _matches(item, query.get("labelSelector"))]}

    def delete(self, path: str) -> tuple[int, Json]:
        if self.objects.pop(path, None) is None:
            return 404, _status(404, "NotFound", f"{path} not found")
        self.on_delete(path)
        return 200, {"kind": "Status", "status": "Success"}

    def review(self, body: Json) -> Json:
        asked = body["spec"]["resourceAttributes"]
        verb = asked["verb"] if "user" in body["spec"] else f"you {asked['verb']}"
        refused = (verb, asked["resource"]) in self.refused_rights
        return body | {"status": {"allowed": not refused}}


LISTINGS = (
    "pods",
    "events",
    "nodes",
    "secrets",
    "resourcequotas",
    "limitranges",
    "storageclasses",
    "trainjobs",
    "namespaces",
)
"""Kinds that an empty listing may be asked for; those of a CRD only where a test puts the CRD's objects there."""


def _matches(item: Json, selector: str | None) -> bool:
    labels = item["metadata"].get("labels", {})
    wanted = [part.partition("=") for part in selector.split(",")] if selector else []
    return all(labels.get(key) == value for key, _, value in wanted)


def _status(code: int, reason: str, message: str) -> Json:
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


@contextmanager
def object_server() -> Iterator[ObjectServer]:
    """A server on a free port of loopback, in a thread, until the block ends."""
    server = ObjectServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self._send(*(self._unknown() or server.answer(parts.path, query)))

        def do_DELETE(self) -> None:
            self._send(*(self._unknown() or server.delete(self.path)))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            found = (
                (201, server.review(body))
                if self.path.startswith(REVIEWS)
                else (404, _status(404, "NotFound", self.path))
            )
            self._send(*(self._unknown() or found))

        def _unknown(self) -> tuple[int, Json] | None:
            server.requests.append(f"{self.command} {self.path}")
            known = self.headers.get("authorization") == f"Bearer {server.token}"
            return None if known else (401, _status(401, "Unauthorized", "Unauthorized"))

        def _send(self, status: int, answer: Any) -> None:
            content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "text/plain" if isinstance(answer, str) else "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with served(Handler) as port:
        server.address = f"http://127.0.0.1:{port}"
        yield server

"""A proxy in front of a real HTTP server that does to a request what a test says: nothing, or a fault.

It passes everything on as it is, also the header Host, so that signatures hold.
"""

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Literal

from loopback import served

Fault = (
    Literal["away", "500", "503", "403", "slow", "truncated", "lost answer", "claims success"] | tuple[int, str] | None
)
"""`away` closes the connection; `truncated` sends half of the body; `lost answer` does what is asked and closes it;
`claims success` does nothing, and nor does an answer of the test's own: status, and code (an error) or XML."""
SLOW_SECONDS = 1.5
XML = b'<?xml version="1.0"?><Error><Code>%s</Code><Message>a fault of the test</Message></Error>'
S3_CODES = {500: b"InternalError", 503: b"ServiceUnavailable", 403: b"AccessDenied"}


@dataclass
class FaultyProxy:
    """`fault_of` gets method and path of each request; it may be set anew while requests are under way."""

    upstream: int
    fault_of: Callable[[str, str], Fault] = lambda _method, _path: None
    port: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)
    """(method, path) of all requests that had one."""


@contextmanager
def faulty_proxy(upstream: int) -> Iterator[FaultyProxy]:
    """Listens on a port of its own until the end."""
    proxy = FaultyProxy(upstream)
    with served(type("Handler", (_Handler,), {"settings": proxy})) as proxy.port:
        yield proxy


class _Handler(BaseHTTPRequestHandler):
    settings: FaultyProxy
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        fault = self.settings.fault_of(self.command, self.path)
        if fault:
            self.settings.faults.append((self.command, self.path))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault == "away":
            self._hang_up()
        elif fault == "claims success":
            self._answer(200, [], b"", 0)
        elif fault in ("500", "503", "403"):
            self._answer_xml(int(fault), XML % S3_CODES[int(fault)])
        elif isinstance(fault, tuple):
            status, text = fault
            self._answer_xml(status, text.encode() if text.startswith("<") else XML % text.encode())
        else:
            if fault == "slow":
                time.sleep(SLOW_SECONDS)
            self._pass_on(body, fault)

    def _pass_on(self, body: bytes, fault: Fault) -> None:
        upstream = http.client.HTTPConnection("127.0.0.1", self.settings.upstream, timeout=60)
        try:
            upstream.request(self.command, self.path, body=body, headers=dict(self.headers))
            response = upstream.getresponse()
            content = response.read()
        except OSError:  # the server itself is away
            self._hang_up()
            return
        finally:
            upstream.close()
        kept = [
            (name, value)
            for name, value in response.getheaders()
            if name.lower() not in ("content-length", "transfer-encoding", "connection")
        ]
        length = int(response.getheader("Content-Length") or len(content))
        if fault == "lost answer":
            self._hang_up()
        elif fault == "truncated" and content:
            self._answer(response.status, kept, content[: len(content) // 2], length)
            self._hang_up()
        else:
            self._answer(response.status, kept, content, length)

    def _answer_xml(self, status: int, content: bytes) -> None:
        self._answer(status, [("Content-Type", "application/xml")], content, len(content))

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, length: int) -> None:
        self.send_response_only(status)
        for name, value in (*headers, ("Content-Length", str(length))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.close()

    def log_message(self, *_: object) -> None:
        """Silent."""

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = _serve  # noqa: N815


@dataclass
class FirstRequests:
    """A fault of the next so many requests that `concerns` (method and path) picks."""

    fault: Fault
    left: int
    concerns: Callable[[str, str], bool] = lambda _method, _path: True

    def __call__(self, method: str, path: str) -> Fault:
        if self.left == 0 or not self.concerns(method, path):
            return None
        self.left -= 1
        return self.fault


@dataclass
class Outage:
    """A fault of every request from the first one on, for so many seconds (inf: for good)."""

    fault: Fault
    seconds: float
    ends: float | None = None

    def __call__(self, _method: str, _path: str) -> Fault:
        if self.ends is None:
            self.ends = time.monotonic() + self.seconds
        return self.fault if time.monotonic() < self.ends else None

"""A webhook for a test: a real HTTP server that keeps what it is told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from loopback import served


@contextmanager
def heard() -> Iterator[tuple[str, list[Any]]]:
    """The address, and the messages that came so far."""
    messages: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None: ...

    with served(Handler) as port:
        yield f"http://127.0.0.1:{port}/secret-path", messages

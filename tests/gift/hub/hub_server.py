"""A small server that answers as the Hugging Face hub does for one model repository, because the real one can't be
reached.

Left out: everything but listing and downloading the files of one commit.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from loopback import served


@contextmanager
def hub_with(name: str, revision: str, folder: Path) -> Iterator[str]:
    """Serve the files of `folder` as the repository `name` at `revision`; gives the hub's address."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == f"/api/models/{name}/revision/{revision}":
                self._send(json.dumps({"id": name, "sha": revision, "siblings": [{"rfilename": f} for f in files]}))
            elif path == f"/api/models/{name}/tree/{revision}":
                rows = [{"type": "file", "path": f, "size": len(b), "oid": _etag(b)} for f, b in files.items()]
                self._send(json.dumps(rows))
            elif (file := path.removeprefix(f"/{name}/resolve/{revision}/")) in files:
                self._send(files[file])
            else:
                self.send_error(404)

        do_HEAD = do_GET  # noqa: N815 (the base class's name)

        def _send(self, body: bytes | str) -> None:
            content = body.encode() if isinstance(body, str) else body
            self.send_response(200)
            self.send_header(
                "Content-Type", "application/json" if isinstance(body, str) else "application/octet-stream"
            )
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{_etag(content)}"')
            self.send_header("X-Repo-Commit", revision)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            pass

    with served(Handler) as port:
        yield f"http://127.0.0.1:{port}"


def _etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()

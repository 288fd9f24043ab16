"""One connection between two nodes of a job: lines of JSON, a sign of life every two seconds, and what went wrong."""

import json
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

ALIVE_SECONDS = 2.0
SILENCE_SECONDS = 30.0
"""A node that sends nothing for so long is lost: its machine is off, cut off or frozen."""
LONGEST_LINE = 64 * 1024


class NodeLink:
    """The other node as seen from here. `start` begins to listen and to send signs of life, in daemon threads."""

    def __init__(self, connection: socket.socket, other: str) -> None:
        self.done = False
        """The other node has ended well."""
        self.own_address: str = connection.getsockname()[0]
        self._connection = connection
        self.other = other
        """What errors call it."""
        self._lines = connection.makefile("rb")
        self._sending = threading.Lock()
        self._failure: str | None = None
        self._ended = threading.Event()
        self._heard = time.monotonic()

    @property
    def fault(self) -> str | None:
        """Why the job can't go on, as far as the other node tells, or None."""
        if self.done:
            return None
        if self._failure is not None:
            return self._failure
        if self._ended.is_set():
            return f"{self.other} was lost: it ended without a word; see its pod's events (out of memory, evicted)"
        silent = time.monotonic() - self._heard
        if silent > SILENCE_SECONDS:
            return f"{self.other} was lost: no sign of life for {silent:.0f} s; see whether its machine still runs"
        return None

    def start(self) -> None:
        self._heard = time.monotonic()
        self._connection.settimeout(None)
        for work in (self._listen, self._send_signs_of_life):
            threading.Thread(target=work, name=f"link to {self.other}", daemon=True).start()

    def send(self, message: Mapping[str, Any]) -> None:
        """Nothing is raised: that the connection is broken, the listener finds out."""
        with suppress(OSError), self._sending:
            self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> Any:
        """The next message; None at the end, or where it is no JSON.

        Raises:
            OSError: the connection is broken or its time limit is over.
        """
        line = self._lines.readline(LONGEST_LINE)
        try:
            return json.loads(line)
        except ValueError:
            return None

    def close(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while isinstance(message := self.receive(), dict):
                self._heard = time.monotonic()
                self.done = self.done or "done" in message
                if "failed" in message:
                    self._failure = str(message["failed"])
        self._ended.set()

    def _send_signs_of_life(self) -> None:
        while not self._ended.wait(ALIVE_SECONDS):
            self.send({"alive": True})

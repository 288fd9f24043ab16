"""A small KFP API server for tests, with the faults of a real network.

A real KFP can't run here: its API server needs Kubernetes, whose custom resources its runs and recurring runs are. So
this one keeps them in memory, behind the real paths, query parameters and JSON: bodies are read into, and answers
written from, the models that KFP publishes (`kfp_server_api`). It repeats what KFP 2.17's source does where that
matters: names of pipelines, versions and experiments are unique and those of recurring runs are not; a recurring run
can't be changed; deleting one takes its active runs along unless it is told ORPHAN; at most two items per page;
max_concurrency from 1 to 10; a description has at most 255 characters.

It does not imitate: schedules that fire, several users, archiving, sorting, filters other than equality of the display
name, or v1 of the API but for a run's Workflow and the logs of its pods.
"""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api as models
from kfp_handlers import MODELS, ROUTES, Call, Refused
from loopback import served

HANGS_SECONDS = 1.0
"""Longer than the time-out that tests give the client."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    `status` is answered instead of the result; None closes the connection without an answer. `applied` says whether the
    change is made all the same. With `hangs`, that and the answer come after the client has given up.
    """

    status: int | None
    applied: bool
    hangs: bool = False

    def wait(self) -> None:
        if self.hangs:
            time.sleep(HANGS_SECONDS)


@dataclass(frozen=True)
class Request:
    """One request that arrived, and the recurring runs as they were after it."""

    method: str
    path: str
    enabled: tuple[str, ...]
    """Display names of the enabled recurring runs."""

    @property
    def is_write(self) -> bool:
        return self.method != "GET"


@dataclass
class KfpServer:
    """Its content, what was asked of it, and what shall go wrong."""

    address: str = ""
    version: str = "2.17.0"
    multi_user: bool = False
    experiments: dict[str, Any] = field(default_factory=dict)
    pipelines: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    recurring_runs: dict[str, Any] = field(default_factory=dict)
    runs: dict[str, Any] = field(default_factory=dict)
    progress: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """State of a run, and of its tasks, at each look at it; the last stays."""
    workflows: list[list[dict[str, Any]]] = field(default_factory=list)
    """Nodes of the run's Workflow at each look at it, as `workflow_node` makes them; the last stays."""
    on_run: Callable[[str], object] = lambda run_id: None
    """Is called with the id of each new run."""
    logs: dict[str, str] = field(default_factory=dict)
    """By the names of pods, there or archived."""
    behind_pages: bool = False
    """Whether it is reached through the server of KFP's pages, as in an installation with users."""
    terminating: list[str] = field(default_factory=list)
    """States of a run that was told to end, likewise."""
    without_resource: set[str] = field(default_factory=set)
    """Recurring runs whose ScheduledWorkflow is gone: KFP can't switch them, but delete them."""
    switches: bool = True
    """Whether recurring runs can be enabled and disabled at all."""
    history: list[Request] = field(default_factory=list)
    token: str | None = None
    """What a caller must bring."""
    write_faults: dict[int, Fault] = field(default_factory=dict)
    """By the number of the write, from 0, counting repeated ones too."""
    down_after_write: int | None = None
    """Nobody is answered any more after this many writes."""
    read_faults: list[Fault] = field(default_factory=list)
    """Taken one by one by the next reads of `faulty_path`."""
    faulty_path: str = ""
    """Part of a path."""

    arrived: int = 0
    """Writes so far."""

    @property
    def writes(self) -> list[Request]:
        return [request for request in self.history if request.is_write]

    def recover(self) -> None:
        """Forget the faults, and what was asked."""
        self.write_faults, self.read_faults, self.down_after_write = {}, [], None
        self.history.clear()
        self.arrived = 0

    def fault(self, method: str, path: str) -> Fault | None:
        """What goes wrong with the request that arrives now."""
        if self.down_after_write is not None and self.arrived >= self.down_after_write:
            return Fault(status=None, applied=False)
        if method == "GET":
            return self.read_faults.pop(0) if self.read_faults and self.faulty_path in path else None
        self.arrived += 1
        return self.write_faults.get(self.arrived - 1)

    def start_run_of(self, recurring_run_id: str) -> str:
        """As if its time had come."""
        run = models.V2beta1Run(run_id=str(uuid.uuid4()), recurring_run_id=recurring_run_id, state="RUNNING")
        self.runs[run.run_id] = run
        return str(run.run_id)

    def handle(self, method: str, target: str, headers: Any, body: bytes, fault: Fault | None) -> tuple[int, Any]:
        """The status and JSON to answer; status 0: nothing."""
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        result: tuple[int, Any] = (0, None)
        if fault is None or fault.applied:
            result = self._result(method, parts.path.removeprefix("/apis/v2beta1"), query, headers, body)
        enabled = [run.display_name for run in self.recurring_runs.values() if run.mode == "ENABLE"]
        self.history.append(Request(method, parts.path, tuple(sorted(enabled))))
        return result if fault is None else (fault.status or 0, {"error": "an injected fault"})

    def _result(self, method: str, path: str, query: dict[str, str], headers: Any, body: bytes) -> tuple[int, Any]:
        try:
            if self.token is not None and headers.get("authorization") != f"Bearer {self.token}":
                raise Refused(401, "unauthenticated")
            for wanted, pattern, handler in ROUTES:
                match = re.fullmatch(pattern, path)
                if method == wanted and match:
                    call = Call(query, headers, body, *match.groups())
                    return 200, MODELS.sanitize_for_serialization(handler(self, call))
            raise Refused(404, f"no such path {method} {path}")
        except Refused as refused:
            return refused.status, {"error": str(refused), "code": refused.status, "message": str(refused)}


@contextmanager
def running_server() -> Iterator[KfpServer]:
    """A server on a free port of loopback, in a thread, until the block ends."""
    server = KfpServer()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            with lock:
                fault = server.fault(self.command, self.path)
            if fault is not None and fault.applied:
                fault.wait()
            with lock:
                status, answer = server.handle(self.command, self.path, self.headers, body, fault)
            if fault is not None and not fault.applied:
                fault.wait()
            if not status:
                self.close_connection = True
                return
            is_log = isinstance(answer, str)
            content = answer.encode() if is_log else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "text/plain" if is_log else "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with served(Handler) as port:
        server.address = f"http://127.0.0.1:{port}"
        yield server

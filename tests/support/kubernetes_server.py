"""A small HTTP server with the part of the Kubernetes API that a TrainJob is followed through, and Trainer's part.

TrainJobs of one namespace can be created, read, listed and deleted; pods be listed; a log be followed. What Trainer's
controller and the kubelets would do, a test does: `on_create` is called with each new job in a thread of its own.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from loopback import served

JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/gift/trainjobs"
PODS = "/api/v1/namespaces/gift/pods"
LABELS = {"jobset.sigs.k8s.io/replicatedjob-name": "node"}


class Cluster:
    """What the server knows, and the faults it is told to have."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, list[str]] = {}
        self.requests: list[str] = []
        self.on_create: Callable[[dict[str, Any]], None] = lambda job: None
        self.on_delete: Callable[[str], None] = lambda name: None
        self.faults = 0
        """So many requests are answered with 500."""
        self.cuts: list[int] = []
        """Each followed log is cut after so many lines, as long as there are numbers here."""
        self.deletion_seconds = 0.0

    def start_pods(self, job: dict[str, Any]) -> None:
        name = job["metadata"]["name"]
        for node in range(job["spec"]["trainer"]["numNodes"]):
            pod = f"{name}-node-0-{node}-x{node}"
            labels = LABELS | {"jobset.sigs.k8s.io/jobset-name": name}
            labels |= {"batch.kubernetes.io/job-completion-index": str(node)}
            self.logs[pod] = []
            self.pods[pod] = {
                "metadata": {"name": pod, "labels": labels, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"containers": [{"name": "node", "image": "x"}]},
                "status": {"phase": "Running"} | container_status({"running": {}}),
            }

    def write(self, node: int, *lines: str) -> None:
        for line in lines:
            written = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
            self.logs[sorted(self.logs)[node]].append(f"{written} {line}")
            time.sleep(0.001)  # a clock of microseconds, unlike Kubernetes'

    def end_pod(self, node: int, code: int, reason: str = "Error", message: str | None = None) -> None:
        terminated = {"exitCode": code, "reason": "Completed" if code == 0 else reason, "message": message}
        phase = "Succeeded" if code == 0 else "Failed"
        self.pods[sorted(self.pods)[node]]["status"] = {"phase": phase} | container_status({"terminated": terminated})

    def set_condition(self, job: dict[str, Any], kind: str, message: str = "") -> None:
        condition = {"type": kind, "status": "True", "reason": kind, "message": message}
        job["status"] = {"conditions": [condition | {"lastTransitionTime": "2026-01-01T00:00:00Z"}]}

    def delete(self, name: str) -> None:
        if "deletionTimestamp" in self.jobs[name]["metadata"]:
            return
        self.jobs[name]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

        def remove() -> None:
            time.sleep(self.deletion_seconds)
            self.on_delete(name)
            self.jobs.pop(name, None)
            for pod in [pod for pod in self.pods if pod.startswith(name)]:
                del self.pods[pod], self.logs[pod]

        threading.Thread(target=remove).start()

    def kubeconfig(self, path: Path) -> Path:
        entries = {
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "gift"}}],
        }
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "x"} | entries))
        return path


def container_status(state: dict[str, Any]) -> dict[str, Any]:
    status = {"name": "node", "state": state, "ready": True, "restartCount": 0, "image": "x", "imageID": "x"}
    return {"containerStatuses": [status]}


@contextmanager
def kubernetes_cluster() -> Iterator[Cluster]:
    class Handler(_Handler):
        pass

    with served(Handler) as port:
        Handler.cluster = Cluster(port)
        yield Handler.cluster


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        path, name = self._begin()
        if path.startswith(JOBS) and name in self.cluster.jobs:
            self._answer(200, self.cluster.jobs[name])
        elif path == JOBS:
            label, _, value = self._selector().partition("=")
            jobs = [job for job in self.cluster.jobs.values() if job["metadata"]["labels"].get(label) == value]
            self._answer(200, {"kind": "TrainJobList", "apiVersion": "trainer.kubeflow.org/v1alpha1", "items": jobs})
        elif path == PODS:
            job = self._selector().partition(",")[0].partition("=")[2]
            pods = [pod for key, pod in self.cluster.pods.items() if key.startswith(job)]
            self._answer(200, {"kind": "PodList", "apiVersion": "v1", "items": pods})
        elif path.endswith("/log") and path.split("/")[-2] in self.cluster.logs:
            self._follow(path.split("/")[-2])
        elif path:
            self._fail(404, "NotFound")

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path, _ = self._begin()
        if not path:
            return
        name = content["metadata"]["name"]
        if name in self.cluster.jobs:
            self._fail(409, "AlreadyExists")
            return
        self.cluster.jobs[name] = content
        threading.Thread(target=self.cluster.on_create, args=(content,), daemon=True).start()
        self._answer(201, content)

    def do_DELETE(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, name = self._begin()
        if path and name in self.cluster.jobs:
            self.cluster.delete(name)
            self._answer(200, {"kind": "Status"})
        elif path:
            self._fail(404, "NotFound")

    def _selector(self) -> str:
        return parse_qs(urlsplit(self.path).query)["labelSelector"][0]

    def _begin(self) -> tuple[str, str]:
        """(path, its last part); the path is empty if the request is answered already, with a fault."""
        path = urlsplit(self.path).path
        self.cluster.requests.append(f"{self.command} {path}")
        if self.cluster.faults > 0:
            self.cluster.faults -= 1
            self._fail(500, "InternalError")
            return "", ""
        if "/namespaces/gift/" not in path:
            self._fail(403, "Forbidden", "gift-stage may not do that here")
            return "", ""
        return path, path.rpartition("/")[2]

    def _follow(self, pod: str) -> None:
        limit = self.cluster.cuts.pop(0) if self.cluster.cuts else None
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = 0
        while True:
            for line in self.cluster.logs.get(pod, [])[sent:]:
                data = f"{line}\n".encode()
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                sent += 1
                if sent == limit:
                    self.close_connection = True  # in the middle of the stream, as a proxy does it
                    return
            if pod not in self.cluster.pods or self.cluster.pods[pod]["status"]["phase"] != "Running":
                self.wfile.write(b"0\r\n\r\n")
                return
            time.sleep(0.05)

    def _fail(self, status: int, reason: str, message: str = "") -> None:
        fault = {"kind": "Status", "status": "Failure", "reason": reason, "code": status, "message": message}
        self._answer(status, fault)

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

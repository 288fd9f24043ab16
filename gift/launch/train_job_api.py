"""What is asked of Kubernetes for a TrainJob: read it, create it, delete it, look at its pods and their logs.

The connection is that of Kubeflow's SDK: the service account of the pod, or a kubeconfig. An API server that is away
for a moment (upgrade, overload, network) is `ApiAwayError`, which callers wait out; what it refuses is a `GiftError`.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from kubeflow.trainer import TrainerClient
from kubeflow.trainer.backends.kubernetes.backend import KubernetesBackend
from kubeflow.trainer.constants import constants
from kubernetes.client import ApiException
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from gift.errors import GiftError
from gift.launch.train_job_manifest import CONTAINER, RUN_LABEL

REQUEST_SECONDS = (5, 60)
QUIET_SECONDS = 600
"""A log that is silent for so long is asked for anew."""
CONFLICT, NOT_FOUND, TOO_MANY = 409, 404, 429


class ApiAwayError(Exception):
    """The API server does not answer, or answers with a fault of its own; later it may."""


@dataclass(frozen=True)
class NodePod:
    """One node's pod."""

    node: int
    name: str
    phase: str
    """Kubernetes' word: Pending, Running, Succeeded, Failed or Unknown."""
    started: bool
    """Its container has run, so that it has a log."""
    end: str
    """Why its container ended, where it failed, for example `OOMKilled (exit code 137)`; else empty."""
    message: str
    """What the container left to say when it ended."""


class TrainJobApi:
    """TrainJobs of one namespace. Every method may raise `ApiAwayError`, and `GiftError` where Kubernetes refuses."""

    def __init__(self, backend: KubernetesBackend) -> None:
        self._custom, self._core, self.namespace = backend.custom_api, backend.core_api, backend.namespace

    @classmethod
    def connect(cls) -> Self:
        """Raises: GiftError: this is no pod of a cluster, and there is no kubeconfig."""
        logging.getLogger("kubeflow").setLevel(
            logging.ERROR
        )  # it misses a version that takes rights of an admin to read
        try:
            return cls(TrainerClient().backend)
        except ConfigException as error:
            raise GiftError(f"can't reach Kubernetes: {_one_line(error)}") from error

    def get(self, name: str) -> dict[str, Any] | None:
        """The TrainJob, or None where there is none."""
        try:
            with _explained(f"reading TrainJob {name}"):
                found: dict[str, Any] = self._custom.get_namespaced_custom_object(
                    *self._kind(), name, _request_timeout=REQUEST_SECONDS
                )
        except ApiException:
            return None
        return found

    def of_run(self, run_id: str) -> list[dict[str, Any]]:
        """The TrainJobs that a pipeline run has submitted."""
        with _explained(f"listing the TrainJobs of run {run_id}"):
            found: dict[str, Any] = self._custom.list_namespaced_custom_object(
                *self._kind(), label_selector=f"{RUN_LABEL}={run_id}", _request_timeout=REQUEST_SECONDS
            )
        return list(found["items"])

    def create(self, job: dict[str, Any]) -> bool:
        """False where a TrainJob of that name is there already, perhaps by our own request whose answer was lost."""
        try:
            with _explained(f"submitting TrainJob {job['metadata']['name']}", passed=CONFLICT):
                self._custom.create_namespaced_custom_object(*self._kind(), job, _request_timeout=REQUEST_SECONDS)
        except ApiException:
            return False
        return True

    def delete(self, name: str) -> None:
        """With everything that belongs to it; the TrainJob is gone once its pods are."""
        try:
            with _explained(f"deleting TrainJob {name}"):
                self._custom.delete_namespaced_custom_object(
                    *self._kind(), name, propagation_policy="Foreground", _request_timeout=REQUEST_SECONDS
                )
        except ApiException:
            pass

    def pods(self, name: str) -> list[NodePod]:
        """The nodes' pods, in the order of the nodes; of several attempts at one node, the newest."""
        selector = constants.POD_LABEL_SELECTOR.format(trainjob_name=name)
        with _explained(f"listing the pods of TrainJob {name}"):
            found = self._core.list_namespaced_pod(
                self.namespace, label_selector=selector, _request_timeout=REQUEST_SECONDS
            )
        pods = sorted(found.items, key=lambda pod: pod.metadata.creation_timestamp)
        newest = {node.node: node for node in map(_node_pod, pods)}
        return [newest[node] for node in sorted(newest)]

    def log(self, pod: str, since_seconds: int | None) -> Iterator[str]:
        """Lines of a pod's log as they are written, each with its time before it, until it ends or is cut."""
        with _explained(f"reading the log of pod {pod}"):
            stream = self._core.read_namespaced_pod_log(
                pod,
                self.namespace,
                container=CONTAINER,
                follow=True,
                timestamps=True,
                since_seconds=since_seconds,
                _preload_content=False,
                _request_timeout=(REQUEST_SECONDS[0], QUIET_SECONDS),
            )
            try:
                rest = b""
                for chunk in stream.stream(decode_content=False):
                    *lines, rest = (rest + chunk).split(b"\n")
                    yield from (line.decode(errors="replace") for line in lines)
            finally:
                stream.release_conn()

    def _kind(self) -> tuple[str, str, str, str]:
        return constants.GROUP, constants.VERSION, self.namespace, constants.TRAINJOB_PLURAL


def _node_pod(pod: Any) -> NodePod:
    statuses = [status for status in pod.status.container_statuses or [] if status.name == CONTAINER]
    state = statuses[0].state if statuses else None
    terminated = state.terminated if state else None
    failed = terminated if terminated and terminated.exit_code != 0 else None
    evicted = (pod.status.reason or "") if pod.status.phase == "Failed" else ""
    return NodePod(
        node=int(pod.metadata.labels[constants.JOB_INDEX_LABEL]),
        name=pod.metadata.name,
        phase=pod.status.phase,
        started=state is not None and (state.running is not None or terminated is not None),
        end=f"{failed.reason} (exit code {failed.exit_code})" if failed else evicted,
        message=_one_line(failed.message or "") if failed else "",
    )


@contextmanager
def _explained(action: str, passed: int = NOT_FOUND) -> Iterator[None]:
    """`ApiException` passes through for the status `passed` only."""
    try:
        yield
    except ApiException as error:
        if error.status == passed:
            raise
        if error.status is None or error.status == TOO_MANY or error.status >= 500:
            raise ApiAwayError(f"{action}: {error.status} {error.reason}") from error
        raise GiftError(f"Kubernetes refuses {action} ({error.status} {error.reason}): {_reason(error)}") from error
    except (HTTPError, OSError) as error:
        raise ApiAwayError(f"{action}: {_one_line(error)}") from error


def _reason(error: ApiException) -> str:
    """The API server's own words, for example those of an admission webhook."""
    try:
        return _one_line(json.loads(error.body or "")["message"])
    except (ValueError, KeyError, TypeError):
        return "no further message"


def _one_line(text: object) -> str:
    return " ".join(str(text).split())

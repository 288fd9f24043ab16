"""Runs a TrainJob to its end: submits it or takes over one that is there, follows it, and cancels it with us.

    none of that name ──> submit ──┐
    one that runs or is complete ──┴──> follow ──> complete: delete
    one that failed ──> delete, submit             failed: its nodes' reason as our own
                                                   we are stopped, or fail ourselves: delete

A stage that was killed without a word leaves its job running; the next attempt at the stage finds it by its name. Where
there is no next attempt, the last task of the pipeline run cancels it.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any, NoReturn, TypeVar

from gift.errors import GiftError
from gift.launch.pod_log import PodLog
from gift.launch.train_job_api import ApiAwayError, NodePod, TrainJobApi
from gift.launch.train_job_manifest import QUEUE_LABEL

LOG_SECONDS = 10.0
"""For the rest of the log, once the job has ended."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Patience:
    """How often to look, and how long to wait, in seconds."""

    look: float = 5.0
    away: float = 15 * 60
    """For an API server that does not answer; the job goes on meanwhile."""
    deletion: float = 10 * 60
    """For the pods of a job that was deleted."""


class TrainJobFailedError(GiftError):
    """The TrainJob itself failed: it stays, so that its pods can be looked at."""


def run_train_job(api: TrainJobApi, job: dict[str, Any], patience: Patience = Patience()) -> None:
    """Return when the TrainJob is complete, after it was deleted.

    Raises:
        GiftError: it failed, for the reason that its nodes gave; somebody deleted it; or Kubernetes refuses or is away
            for too long. In the last two cases, and with any other exception, the job is deleted.
    """
    name = job["metadata"]["name"]
    with _cancelled_with_us(api, name):
        _submit_or_adopt(api, job, patience)
        _follow(api, name, patience)
        with suppress(ApiAwayError):
            api.delete(name)


def cancel_train_jobs(api: TrainJobApi, run_id: str, patience: Patience = Patience()) -> None:
    """Delete what the pipeline run has left running; a job that failed stays, so that its pods can be looked at.

    Raises:
        GiftError: Kubernetes refuses, or is away for too long.
    """
    for job in _patiently(lambda: api.of_run(run_id), patience):
        if not _condition(job, "Failed"):
            name = job["metadata"]["name"]
            print(f"  deleting TrainJob {name}, which the run left behind", flush=True)
            _patiently(partial(api.delete, name), patience)


@contextmanager
def _cancelled_with_us(api: TrainJobApi, name: str) -> Iterator[None]:
    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    former = signal.signal(signal.SIGTERM, stop)  # how Kubernetes stops a pod; Python would end without a word
    try:
        yield
    except TrainJobFailedError:
        raise
    except BaseException:
        print(f"  deleting TrainJob {name}", flush=True)
        with suppress(ApiAwayError, GiftError):  # what stopped us counts
            api.delete(name)
        raise
    finally:
        signal.signal(signal.SIGTERM, former)


def _submit_or_adopt(api: TrainJobApi, job: dict[str, Any], patience: Patience) -> None:
    name = job["metadata"]["name"]
    found = _patiently(lambda: api.get(name), patience)
    if found is not None and (_condition(found, "Failed") or "deletionTimestamp" in found["metadata"]):
        _patiently(lambda: api.delete(name), patience)
        _wait_until_gone(api, name, patience)
        found = None
    if found is None and _patiently(lambda: api.create(job), patience):
        print(f"  submitted TrainJob {name} in namespace {api.namespace}", flush=True)
    else:
        print(f"  goes on with TrainJob {name} in namespace {api.namespace}, which was there already", flush=True)


def _wait_until_gone(api: TrainJobApi, name: str, patience: Patience) -> None:
    deadline = time.monotonic() + patience.deletion
    while _patiently(lambda: api.get(name), patience) is not None:
        if time.monotonic() > deadline:
            raise GiftError(f"TrainJob {name} of an earlier attempt is being deleted and does not go; see its pods")
        time.sleep(patience.look)


def _follow(api: TrainJobApi, name: str, patience: Patience) -> None:
    log: PodLog | None = None
    said, seconds_for_log = "", 0.0
    ended: dict[int, NodePod] = {}
    try:
        while True:
            job = _patiently(lambda: api.get(name), patience)
            if job is None:
                raise GiftError(f"TrainJob {name} was deleted by somebody else; start the stage again")
            pods = _patiently(lambda: api.pods(name), patience)
            ended |= {pod.node: pod for pod in pods if pod.end}
            said = _say_if_new(_state(job, pods), said)
            if log is None and pods and pods[0].node == 0 and pods[0].started:
                log = PodLog(api, pods[0].name)
            complete, failure = _condition(job, "Complete"), _condition(job, "Failed")
            seconds_for_log = LOG_SECONDS if complete or failure else 0.0
            if complete:
                return
            if failure:
                raise TrainJobFailedError(_reason(name, failure, ended))
            time.sleep(patience.look)
    finally:
        if log is not None:
            log.close(seconds_for_log)


def _reason(name: str, condition: dict[str, Any], ended: dict[int, NodePod]) -> str:
    """The nodes' own words, and how each of them ended; else those of Trainer."""
    messages = [pod.message for pod in ended.values() if pod.message]
    ends = ", ".join(f"{pod.name} {pod.end}" for pod in ended.values())
    cause = messages[0] if messages else condition.get("message") or condition.get("reason", "no reason given")
    return f"{cause} [TrainJob {name}{': ' + ends if ends else ''}]"


def _state(job: dict[str, Any], pods: list[NodePod]) -> str:
    nodes = job["spec"]["trainer"]["numNodes"]
    if _condition(job, "Suspended"):
        queue = job["metadata"].get("labels", {}).get(QUEUE_LABEL, "")
        return f"waits in the queue {queue}".rstrip()
    running = sum(pod.phase == "Running" for pod in pods)
    return f"{running} of {nodes} nodes run"


def _say_if_new(state: str, said: str) -> str:
    if state != said:
        print(f"  {state}", flush=True)
    return state


def _condition(job: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """The condition of that type, if it holds."""
    conditions = job.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind and c["status"] == "True"), None)


def _patiently(ask: Callable[[], Result], patience: Patience) -> Result:
    """The answer, if need be later. Raises: GiftError: the API server is away for too long."""
    deadline = time.monotonic() + patience.away
    while True:
        try:
            return ask()
        except ApiAwayError as away:
            if time.monotonic() > deadline:
                minutes = patience.away / 60
                raise GiftError(f"Kubernetes does not answer for {minutes:.0f} minutes ({away})") from away
            time.sleep(patience.look)

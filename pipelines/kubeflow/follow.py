"""Follows a run to its end: every change of a stage's state, and what keeps it from going on.

Whoever follows may stop, lose the network or the token, and follow again by the run's id.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gift.errors import GiftError
from gift.progress import BANNER
from pipelines.kubeflow.cluster_run import ENDED, ClusterRun, read_cluster_run
from pipelines.kubeflow.kfp_api import KfpApi
from pipelines.kubeflow.kfp_faults import NotFoundError
from pipelines.kubeflow.kubernetes_api import KubernetesApi
from pipelines.kubeflow.run_watch import RunWatch

POLL_SECONDS = 5.0
QUIET_SECONDS = 30.0
"""Without progress, after which the pods are looked at."""
FOLLOW_PAUSES: tuple[float, ...] = (1, 2, 5, 10, *(30,) * 20)
"""Ten minutes: an API server that is upgraded is away for some of them, and the run does not need it."""


@dataclass(frozen=True)
class _Change:
    """A stage that has started, or ended, or both."""

    stage: str
    state: str
    lines: tuple[str, ...]


def follow(api: KfpApi, kubernetes: KubernetesApi | None, run_id: str, say: Callable[[str], None]) -> ClusterRun:
    """Tell every change of a stage's state, and what keeps pods from starting, until the run ends well.

    Raises:
        GiftError: a stage failed, the run was terminated, or KFP has been away for ten minutes.
    """
    patient = replace(api, pauses=FOLLOW_PAUSES)
    answer = _answer(patient, run_id)
    followed = read_cluster_run(patient, answer)
    watch = RunWatch(api, kubernetes, followed)
    shown: dict[str, str] = {}
    terminated = False
    moved = time.monotonic()
    while True:
        changes = list(_changes(answer, followed.stages, shown))
        quiet = time.monotonic() - moved >= QUIET_SECONDS
        if quiet or any(change.state in ENDED for change in changes):
            _say_all(watch.look(quiet=quiet), say)
        if quiet or changes:
            moved = time.monotonic()
        for change in changes:
            _say_all(change.lines, say)
            if change.state == "FAILED":
                _say_all(watch.failure(change.stage), say)
        terminated = terminated or answer.state in ("CANCELING", "CANCELED")
        if answer.state in ENDED:
            if answer.state == "FAILED" and "FAILED" not in shown.values():
                _say_all(watch.failure(None), say)
            _check_outcome(api, answer, shown, terminated)
            return followed
        time.sleep(POLL_SECONDS)
        answer = _answer(patient, run_id)


def _say_all(lines: Iterable[str], say: Callable[[str], None]) -> None:
    for line in lines:
        say(line)


def _answer(patient: KfpApi, run_id: str) -> Any:
    try:
        return patient.repeat(patient.runs.run_service_get_run, run_id)
    except NotFoundError:
        raise
    except GiftError as error:
        raise GiftError(f"{error}; the run goes on, `gift cluster follow {run_id}` follows it again") from None


def _changes(run: Any, stages: Mapping[str, str], shown: dict[str, str]) -> Iterator[_Change]:
    """What changed since `shown`, which is brought up to date."""
    details = (run.run_details and run.run_details.task_details) or []
    for task in details:
        stage = stages.get(task.display_name)
        if stage is None or task.state not in ("RUNNING", *ENDED) or shown.get(stage) == task.state:
            continue
        started = () if stage in shown else (f"{BANNER}{stage}",)
        ended = (f"  {stage} {task.state.lower()}{_duration(task)}",) if task.state in ENDED else ()
        shown[stage] = task.state
        yield _Change(stage, task.state, started + ended)


def _duration(task: Any) -> str:
    if task.start_time is None or task.end_time is None or task.end_time < task.start_time:
        return ""
    minutes, seconds = divmod(round((task.end_time - task.start_time).total_seconds()), 60)
    return f" after {minutes}:{seconds:02d}"


def _check_outcome(api: KfpApi, run: Any, states: Mapping[str, str], terminated: bool) -> None:
    if terminated:  # which KFP reports as FAILED in the end
        raise GiftError(f"run {run.run_id} was terminated")
    if run.state == "FAILED":
        failed = [stage for stage, state in states.items() if state == "FAILED"]
        what = f"stage {failed[0]} failed" if failed else "the run failed outside of its stages"
        why = f" ({run.error.message})" if run.error and run.error.message else ""
        raise GiftError(f"{what}{why}; its logs are on {api.page_of_run(run.run_id)}")

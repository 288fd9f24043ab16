"""`gift schedule plan`: what differs between the schedules in git and the recurring runs on the cluster.

It writes nothing. A change in git gives the recurring run's mark another digest than the file's; a change by hand
leaves the mark and changes the values. Both end in the same change, and a person is told which it was. (Enabled or
disabled is no part of the digest, because KFP can switch it in place.)

Left out: recurring runs without our mark, which are named and left alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

from gift.errors import GiftError
from pipelines.kubeflow.kfp_api import KfpApi
from pipelines.kubeflow.kfp_faults import AwayError
from pipelines.schedules.pipeline_versions import Package, package
from pipelines.schedules.recurring_runs import NOTHING, RecurringRun, boolean, declared_fields, ours
from pipelines.schedules.schedule import Schedule


class Action(Enum):
    """What `gift schedule apply` would do for one schedule."""

    create = "create"
    replace = "replace"
    enable = "enable"
    disable = "disable"
    tidy = "tidy"
    """Remove recurring runs that an interrupted apply, or somebody, left beside the right one."""
    delete = "delete"
    unchanged = "unchanged"


@dataclass(frozen=True)
class Difference:
    """One key of a schedule."""

    key: str
    cluster: str
    git: str


@dataclass(frozen=True)
class Change:
    """One schedule, in git, on the cluster, or both."""

    name: str
    action: Action
    schedule: Schedule | None
    """None: it is not in git."""
    package: Package | None
    """The pipeline version that it wants; None where it is not in git, or blocked."""
    runs: tuple[RecurringRun, ...]
    """All that the cluster has of it."""
    differences: tuple[Difference, ...]
    by_hand: bool
    """Whether the differences came about on the cluster, not in git."""
    blocked: str | None
    """Why it can't be applied."""


@dataclass(frozen=True)
class SchedulePlan:
    """All schedules, those to be deleted first."""

    changes: tuple[Change, ...]
    left_alone: tuple[str, ...]
    """Names of recurring runs in the experiment that are not ours."""

    @property
    def is_empty(self) -> bool:
        """Whether the cluster is as git says."""
        return all(change.action is Action.unchanged and change.blocked is None for change in self.changes)


def plan_schedules(api: KfpApi, schedules: Mapping[str, Schedule], folder: Path, experiment: str) -> SchedulePlan:
    """Compare `schedules`, read from `folder`, with the recurring runs in an experiment.

    Raises:
        GiftError: KFP does not answer or refuses to.
    """
    experiment_id = api.experiment_id(experiment)
    found, others = ours(api, experiment_id) if experiment_id else ([], [])
    gone = sorted({run.name for run in found} - set(schedules))
    deletions = [
        Change(name, Action.delete, None, None, _of(name, found), (), by_hand=False, blocked=None) for name in gone
    ]
    wanted = [_compare(api, name, schedule, _of(name, found), folder) for name, schedule in schedules.items()]
    return SchedulePlan((*deletions, *wanted), tuple(others))


def right_one(schedule: Schedule, runs: tuple[RecurringRun, ...]) -> RecurringRun | None:
    """The recurring run to keep: one with the schedule's values, rather enabled than not, rather older than newer."""
    now = datetime.now(UTC)
    right = [run for run in runs if not _differences(schedule, run, now)]
    return min(right, key=_rank, default=None)


def _compare(api: KfpApi, name: str, schedule: Schedule, runs: tuple[RecurringRun, ...], folder: Path) -> Change:
    wanted, blocked = None, None
    try:
        wanted = package(api, schedule, folder)
    except AwayError:
        raise
    except GiftError as error:
        blocked = str(error)
    shown = right_one(schedule, runs) or min(runs, key=_rank, default=None)
    differences: tuple[Difference, ...] = ()
    by_hand = False
    if shown is not None:
        differences = _differences(schedule, shown, datetime.now(UTC))
        by_hand = bool(differences) and shown.digest == schedule.digest()
        if shown.enabled != schedule.enabled:
            switched = Difference("enabled", boolean(shown.enabled), boolean(schedule.enabled))
            differences = (*differences, switched)
    return Change(name, _action(schedule, runs), schedule, wanted, runs, differences, by_hand, blocked)


def _action(schedule: Schedule, runs: tuple[RecurringRun, ...]) -> Action:
    if not runs:
        return Action.create
    keep = right_one(schedule, runs)
    if keep is None:
        return Action.replace
    if keep.enabled != schedule.enabled:
        return Action.enable if schedule.enabled else Action.disable
    return Action.tidy if len(runs) > 1 else Action.unchanged


def _differences(schedule: Schedule, run: RecurringRun, now: datetime) -> tuple[Difference, ...]:
    has, wants = dict(run.fields), declared_fields(schedule)
    if has["start_time"] == NOTHING and schedule.start_to_send(now) is None:
        wants["start_time"] = NOTHING  # it has passed, and was not sent
    if schedule.service_account is None and run.digest == schedule.digest():
        wants["service_account"] = has["service_account"]  # KFP filled in its own
    return tuple(Difference(key, has[key], value) for key, value in wants.items() if has[key] != value)


def _of(name: str, runs: list[RecurringRun]) -> tuple[RecurringRun, ...]:
    return tuple(run for run in runs if run.name == name)


def _rank(run: RecurringRun) -> tuple[bool, datetime, str]:
    return (not run.enabled, run.created_at, run.id)

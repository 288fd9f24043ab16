"""`gift schedule apply`: makes the recurring runs on the cluster what git says.

KFP can enable, disable and delete a recurring run, but not change it, and its names need not be unique. A schedule is
replaced in steps, each of which is asked for until KFP confirms it:

    0  delete disabled leftovers, where another one is enabled
    1  create the new one, disabled
    2  look again at everything that the cluster has of this schedule, and choose the one to keep
    3  disable the others
    4  enable the one to keep
    5  delete the others

**Never two.** Nothing is enabled before everything else of its schedule is confirmed to be disabled. What a lost
answer may leave in two copies is created disabled, and so is what KFP itself may leave half-made (a ScheduledWorkflow
without its row in KFP's database, which no call can see). **Never none**, but for the moment between two answers, in 3
and 4: pipelines are compiled and uploaded and the new one created before the old one is touched, and if the new one
can't be enabled it is disabled for certain and the old one enabled again.

Whatever is interrupted, however hard, the next apply starts from what it finds, with no memory of its own:

    in or before 1    the old one is enabled; a new one may lie beside it, disabled, which the next apply makes anew:
                      once enabled, it would make up for starts since its creation, which the old one has had
    between 1 and 3   the same
    between 3 and 4   none is enabled; the next apply enables the new one
    between 4 and 5   the new one is enabled; the next apply deletes the old one

Schedules that git no longer has are deleted before others are created, so that a renamed one is not there twice.

One that alone can't be disabled is deleted instead, before the new one is enabled: KFP can switch no recurring run
whose ScheduledWorkflow is gone (deleted with kubectl, or the database restored into another cluster), but delete it.

What remains: two applies at the same time can each enable theirs, so run it from one place; and a request that KFP
carries out after its caller gave up, and after the steps above were confirmed, can undo one of them, which the next
plan shows. A start that is due between 1 and 4 can be made by both, one after the other. The plan knows KFP's database
alone: a schedule whose ScheduledWorkflow is gone looks right, and starts nothing. Runs that a replaced schedule has
started go on, and do not count for the new one's `max_concurrency`.
"""

import contextlib
from collections.abc import Callable

from gift.errors import GiftError
from pipelines.kubeflow.kfp_api import KfpApi
from pipelines.kubeflow.kfp_faults import AwayError, NotFoundError
from pipelines.schedules.pipeline_versions import Version, upload
from pipelines.schedules.plan import Action, Change, SchedulePlan, right_one
from pipelines.schedules.recurring_runs import RecurringRun, create, delete, disable, enable, ours
from pipelines.schedules.schedule import Schedule


def apply_plan(api: KfpApi, plan: SchedulePlan, experiment: str, say: Callable[[str], None]) -> None:
    """Carry out a plan; `say` is told each step that is done.

    Raises:
        GiftError: a schedule is blocked (then no recurring run is touched), or KFP does not answer or refuses a step
            (then the next apply goes on).
    """
    changes = [change for change in plan.changes if change.action is not Action.unchanged]
    blocked = [f"{change.name}: {change.blocked}" for change in plan.changes if change.blocked is not None]
    try:
        # First, also where a schedule is blocked: each commit's own checkout brings its versions, which starts nothing.
        versions = _upload_all(api, changes, say)
        if blocked:
            raise GiftError("; ".join(blocked))
        if changes:
            _apply(api, changes, versions, experiment, say)
    except AwayError as error:
        raise GiftError(f"{error}; `gift schedule apply` goes on from here once it does") from None


def _upload_all(api: KfpApi, changes: list[Change], say: Callable[[str], None]) -> dict[str, Version]:
    """The pipeline versions of schedules, by their names; what is missing is uploaded."""
    versions: dict[str, Version] = {}
    for change in changes:
        if change.package is not None:
            if change.package.version is None:
                say(f"{change.name}: upload version {change.package.name} of {change.package.pipeline}")
            versions[change.name] = upload(api, change.package)
    return versions


def _apply(
    api: KfpApi,
    changes: list[Change],
    versions: dict[str, Version],
    experiment: str,
    say: Callable[[str], None],
) -> None:
    experiment_id = api.make_experiment(experiment)
    for change in changes:
        if change.schedule is None:
            _delete_all(api, change.runs, change.name, say)
        else:
            _reconcile(api, experiment_id, change.name, change.schedule, versions[change.name], say)


def _reconcile(
    api: KfpApi, experiment_id: str, name: str, schedule: Schedule, version: Version, say: Callable[[str], None]
) -> None:
    """The five steps above, each only where it is needed."""
    runs = _found(api, experiment_id, name)
    if any(run.enabled for run in runs):
        leftovers = tuple(run for run in runs if not run.enabled)
        _delete_all(api, leftovers, name, say)
        runs = tuple(run for run in runs if run.enabled)
    if right_one(schedule, runs) is None:
        say(f"{name}: create")
        create(api, experiment_id, name, schedule, version, besides=runs)
        runs = _found(api, experiment_id, name)
    keep = right_one(schedule, runs)
    if keep is None:
        raise GiftError(f"KFP has not kept schedule {name} as it was given; `gift schedule plan` shows how it differs")
    others = [run for run in runs if run.id != keep.id]
    disabled = [run for run in others if _disable_or_delete(api, run, keep, name, say)]
    if schedule.enabled and not keep.enabled:
        say(f"{name}: enable {keep.id}")
        _enable(api, keep, instead_of=[run for run in disabled if run.enabled])
    if keep.enabled and not schedule.enabled:
        say(f"{name}: disable {keep.id}")
        disable(api, keep)
    _delete_all(api, tuple(disabled), name, say)


def _disable_or_delete(
    api: KfpApi, run: RecurringRun, keep: RecurringRun, name: str, say: Callable[[str], None]
) -> bool:
    """Whether it is still there. Disabled also where KFP says that it is: its database and Kubernetes may disagree."""
    say(f"{name}: disable {run.id}")
    try:
        disable(api, run)
    except AwayError:
        if not keep.enabled:
            disable(api, keep)  # which KFP can do, unless it is KFP that is away and not the one run that is broken
        _delete_all(api, (run,), name, say)
        return False
    return True


def _enable(api: KfpApi, run: RecurringRun, instead_of: list[RecurringRun]) -> None:
    try:
        enable(api, run)
    except GiftError:
        if instead_of:
            with contextlib.suppress(NotFoundError):
                disable(api, run)  # nobody knows whether it was enabled
            enable(api, instead_of[0])
        raise


def _delete_all(api: KfpApi, runs: tuple[RecurringRun, ...], name: str, say: Callable[[str], None]) -> None:
    for run in runs:
        say(f"{name}: delete {run.id}")
        delete(api, run)


def _found(api: KfpApi, experiment_id: str, name: str) -> tuple[RecurringRun, ...]:
    found, _ = ours(api, experiment_id)
    return tuple(run for run in found if run.name == name)

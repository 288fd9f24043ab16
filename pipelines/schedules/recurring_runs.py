"""What KFP has of our schedules: recurring runs with our mark, read as the words of a schedule file.

The mark is the description: the schedule's name, and the digest of the schedule that the recurring run was made from.
It tells ours from anybody else's, and a change in git (another digest) from a change by hand (other values under the
same digest). KFP keeps 255 characters of a description, so everything else is read from the recurring run itself, and
the profile, commit and image from the description of the pipeline version that it runs.

Left out: recurring runs in other experiments, and what KFP fills in by itself (the namespace, and an account where a
schedule names none).
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import kfp_server_api

from pipelines.kubeflow.kfp_api import KfpApi
from pipelines.kubeflow.kfp_faults import NotFoundError
from pipelines.schedules.pipeline_versions import PINS, Version, made_from, pins
from pipelines.schedules.schedule import Schedule

NOTHING = "none"
_MARK = re.compile(r"gift schedule (?P<name>\S+) (?P<digest>[0-9a-f]{16}): ")
_MARK_TEXT = "gift schedule {name} {digest}: kept in git; `gift schedule apply` undoes changes by hand"
_UNPINNED = "the newest version (not pinned)"


@dataclass(frozen=True)
class RecurringRun:
    """One recurring run of ours."""

    id: str
    name: str
    """Of its schedule."""
    digest: str
    """Of the schedule that it was made from."""
    enabled: bool
    created_at: datetime
    fields: dict[str, str]
    """Like `declared_fields`, as KFP has them."""


def declared_fields(schedule: Schedule) -> dict[str, str]:
    """Everything but `enabled` that a recurring run can be compared by, as text."""
    return {
        **pins(schedule),
        "service_account": schedule.service_account or NOTHING,
        "cron": schedule.cron,
        "max_concurrency": str(schedule.max_concurrency),
        "catch_up": boolean(schedule.catch_up),
        "start_time": _time(schedule.start_time),
        "end_time": _time(schedule.end_time),
        "parameters": NOTHING,
    }


def boolean(value: bool) -> str:
    """As a schedule file writes it."""
    return "true" if value else "false"


def ours(api: KfpApi, experiment_id: str) -> tuple[list[RecurringRun], list[str]]:
    """Our recurring runs in an experiment, and the names of the others there."""
    listing = api.recurring_runs.recurring_run_service_list_recurring_runs
    found: list[RecurringRun] = []
    others: list[str] = []
    known: dict[Version, dict[str, str]] = {}
    for item in api.all_pages(listing, "recurring_runs", experiment_id=experiment_id):
        mark = _MARK.match(item.description or "")
        if mark is None:
            others.append(str(item.display_name))
        else:
            found.append(_read(api, item, mark, known))
    return found, others


def create(
    api: KfpApi,
    experiment_id: str,
    name: str,
    schedule: Schedule,
    version: Version,
    besides: Collection[RecurringRun],
) -> None:
    """Make a new recurring run, disabled; `besides` are those that the schedule has already.

    Raises:
        GiftError: KFP does not answer or refuses it.
    """
    mark = _MARK_TEXT.format(name=name, digest=schedule.digest())
    cron = kfp_server_api.V2beta1CronSchedule(
        cron=schedule.cron, start_time=schedule.start_to_send(datetime.now(UTC)), end_time=schedule.end_time
    )
    api.once(
        api.recurring_runs.recurring_run_service_create_recurring_run,
        kfp_server_api.V2beta1RecurringRun(
            display_name=name,
            description=mark,
            experiment_id=experiment_id,
            mode=kfp_server_api.RecurringRunMode.DISABLE,
            pipeline_version_reference=kfp_server_api.V2beta1PipelineVersionReference(
                pipeline_id=version.pipeline_id, pipeline_version_id=version.version_id
            ),
            trigger=kfp_server_api.V2beta1Trigger(cron_schedule=cron),
            service_account=schedule.service_account,
            max_concurrency=str(schedule.max_concurrency),
            no_catchup=not schedule.catch_up,
        ),
        done=lambda: _made_by_earlier_attempt(api, experiment_id, name, besides),
    )


def enable(api: KfpApi, run: RecurringRun) -> None:
    api.repeat(api.recurring_runs.recurring_run_service_enable_recurring_run, run.id)


def disable(api: KfpApi, run: RecurringRun) -> None:
    api.repeat(api.recurring_runs.recurring_run_service_disable_recurring_run, run.id)


def delete(api: KfpApi, run: RecurringRun) -> None:
    """Its runs go on: without ORPHAN, Kubernetes would remove those that are still training with their owner."""
    try:
        api.repeat(
            api.recurring_runs.recurring_run_service_delete_recurring_run,
            run.id,
            propagation_policy=kfp_server_api.V2beta1DeletePropagationPolicy.ORPHAN,
        )
    except NotFoundError:  # by an earlier attempt whose answer was lost
        return


def _made_by_earlier_attempt(
    api: KfpApi, experiment_id: str, name: str, besides: Collection[RecurringRun]
) -> RecurringRun | None:
    before = {run.id for run in besides}
    found, _ = ours(api, experiment_id)
    return next((run for run in found if run.name == name and run.id not in before), None)


def _read(api: KfpApi, item: Any, mark: re.Match[str], known: dict[Version, dict[str, str]]) -> RecurringRun:
    trigger = (item.trigger and item.trigger.cron_schedule) or kfp_server_api.V2beta1CronSchedule()
    parameters = (item.runtime_config and item.runtime_config.parameters) or {}
    return RecurringRun(
        id=item.recurring_run_id,
        name=mark["name"],
        digest=mark["digest"],
        enabled=_is_enabled(item),
        created_at=item.created_at,
        fields={
            **_pins_of(api, item, known),
            "service_account": item.service_account or NOTHING,
            "cron": trigger.cron or NOTHING,
            "max_concurrency": str(item.max_concurrency),
            "catch_up": boolean(not item.no_catchup),
            "start_time": _time(trigger.start_time),
            "end_time": _time(trigger.end_time),
            "parameters": ", ".join(sorted(parameters)) or NOTHING,
        },
    )


def _pins_of(api: KfpApi, item: Any, known: dict[Version, dict[str, str]]) -> dict[str, str]:
    reference = item.pipeline_version_reference
    if reference is None or not reference.pipeline_version_id:
        return dict.fromkeys(PINS, _UNPINNED)
    version = Version(reference.pipeline_id, reference.pipeline_version_id)
    if version not in known:
        described = made_from(api, version)
        known[version] = {key: described.get(key, "unknown") for key in ("profile", "overrides", "git_sha", "image")}
    return known[version]


def _is_enabled(item: Any) -> bool:
    return bool(item.mode == kfp_server_api.RecurringRunMode.ENABLE)


def _time(value: datetime | None) -> str:
    return NOTHING if value is None else value.isoformat().replace("+00:00", "Z")

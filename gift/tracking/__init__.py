"""MLflow tracking: a parent run per pipeline run, a nested run per stage, metrics that outlive an outage.

`client` has the requests that we make (`rest` and `credentials` below it), `faults` what goes wrong with them,
`entries` what both kinds of runs share, `parent` and `stage` the runs themselves, `platform` those that KFP opens,
`settings` whose server it is, `spool` and `metrics` the asynchronous log of the training job.

Left out on purpose: the package mlflow. It takes seconds to import, and is the server here. May import `storage`,
`patience`, `config`, `fingerprint` and `errors`.
"""

from gift.tracking.health import check_tracking, tracking_version
from gift.tracking.metrics import MetricLog, send_late_metrics
from gift.tracking.parent import (
    close_killed_run,
    finish_parent_run,
    open_parent_run,
    parent_has_finished,
    start_parent_run,
)
from gift.tracking.records import SYSTEM_PREFIX, StageRecord, parent_started, stage_records
from gift.tracking.stage import StageRun, stage_run

__all__ = [
    "SYSTEM_PREFIX",
    "MetricLog",
    "StageRecord",
    "StageRun",
    "check_tracking",
    "close_killed_run",
    "finish_parent_run",
    "open_parent_run",
    "parent_has_finished",
    "parent_started",
    "send_late_metrics",
    "stage_records",
    "stage_run",
    "start_parent_run",
    "tracking_version",
]

"""MLflow tracking: a parent run per pipeline run, a nested run per stage, metrics that outlive an outage.

`client` is the connection, `entries` what both kinds of runs share, `parent` and `stage` the runs themselves, `spool`
and `metrics` the asynchronous log of the training job.

Left out on purpose: MLflow's fluent API. Its active run is global state, and here several processes write to one run.
May import `config`, `provenance` and `errors`.
"""

from gift.tracking.client import check_tracking
from gift.tracking.metrics import MetricLog, replay_spool, send_late_metrics
from gift.tracking.parent import finish_parent_run, start_parent_run
from gift.tracking.records import StageRecord, stage_records
from gift.tracking.stage import StageRun, stage_run

__all__ = [
    "MetricLog",
    "StageRecord",
    "StageRun",
    "check_tracking",
    "finish_parent_run",
    "replay_spool",
    "send_late_metrics",
    "stage_records",
    "stage_run",
    "start_parent_run",
]

"""What rank 0 says of each step: a live line for the person, all metrics for MLflow. Other ranks are silent."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch.distributed as dist

from gift.launch.rank_job import TrainingJob
from gift.progress import Progress
from gift.tracking import MetricLog


@dataclass(frozen=True)
class Reports:
    """The reports of one training; every rank calls them, and all but rank 0 in vain."""

    progress: Progress
    shown: Mapping[str, str]
    metric_log: MetricLog | None
    """None on other ranks."""

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Called after each step, counted from 0."""
        if self.metric_log is not None:
            self.metric_log.log(metrics, step)
            self.progress.update(step + 1, [template.format(metrics[name]) for name, template in self.shown.items()])

    def copy_unsent(self, destination: Path) -> None:
        """See `MetricLog.copy_unsent`."""
        if self.metric_log is not None:
            self.metric_log.copy_unsent(destination)


@contextmanager
def step_reports(job: TrainingJob, label: str, steps: range, shown: Mapping[str, str]) -> Iterator[Reports]:
    """Args: `shown` maps the metrics of the live line to their formats, for example `{"reward": "reward {:.3f}"}`."""
    progress = Progress(label, steps.stop, done=steps.start)
    if dist.get_rank() != 0:
        yield Reports(progress, shown, None)
        return
    with closing(MetricLog(job.mlflow_run_id, job.metric_spool)) as metric_log:
        yield Reports(progress, shown, metric_log)

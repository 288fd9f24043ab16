"""What rank 0 says of each step: a live line for the person, all metrics for MLflow. Other ranks are silent."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

import torch.distributed as dist

from gift.progress import Progress
from gift.tracking import MetricLog
from gift.training.job import TrainingJob

Report = Callable[[int, Mapping[str, float]], None]
"""(step, metrics): called by every rank after each step, counted from 0."""


@contextmanager
def step_reports(job: TrainingJob, label: str, steps: int, shown: Mapping[str, str]) -> Iterator[Report]:
    """Args: `shown` maps the metrics of the live line to their formats, for example `{"reward": "reward {:.3f}"}`."""
    if dist.get_rank() != 0:
        yield lambda _step, _metrics: None
        return
    progress = Progress(label, steps)
    with closing(MetricLog(job.mlflow_run_id, job.metric_spool)) as metric_log:

        def report(step: int, metrics: Mapping[str, float]) -> None:
            metric_log.log(metrics, step)
            progress.update(step + 1, [template.format(metrics[name]) for name, template in shown.items()])

        yield report

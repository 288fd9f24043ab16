"""What rank 0 says of each step: a live line for the person, all metrics for MLflow. Other ranks are silent.

Of a batch that made training sick each rank keeps its part.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch.distributed as dist
from deepspeed import DeepSpeedEngine

from gift.config import ComputeConfig
from gift.errors import GiftError
from gift.launch.rank_job import TrainingJob
from gift.models.device import slow_bf16
from gift.policy.log_probabilities import PADDED_READING, reads_packed
from gift.progress import Progress
from gift.storage import upload_directory
from gift.tracking import MetricLog
from gift.training.health import Judgement


def say_what_is_slow(engine: DeepSpeedEngine, compute: ComputeConfig) -> None:
    """Once in a training: ways of its model and of this machine that cost time, and that somebody may change."""
    if dist.get_rank() != 0:
        return
    if not reads_packed(engine):
        print(f"  {PADDED_READING}", flush=True)
    if slow := slow_bf16(engine.device, compute.precision, "compute.precision"):
        print(f"  {slow}", flush=True)


@dataclass(frozen=True)
class Reports:
    """The reports of one training; every rank calls them, and all but rank 0 in vain."""

    progress: Progress
    shown: Mapping[str, str]
    metric_log: MetricLog | None
    """None on other ranks."""
    kept: str
    """S3 prefix of batches that made training sick."""

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Called after each step, counted from 0."""
        if self.metric_log is not None:
            self.metric_log.log(metrics, step)
            self.progress.update(step + 1, [template.format(metrics[name]) for name, template in self.shown.items()])

    def follow(self, step: int, judgement: Judgement, record: Callable[[], Mapping[str, object]]) -> None:
        """Called after each step: keeps the `record` of this rank's part of a batch that was sick, for people.

        Raises:
            GiftError: training must not go on.
        """
        if dist.get_rank() == 0 and judgement.warning:
            print(f"  step {step + 1}: warning: {judgement.warning}", flush=True)
        if (fault := judgement.stop or judgement.left_out) is None:
            return
        if dist.get_rank() == 0 and judgement.left_out:
            print(f"  step {step + 1}: an update is left out, as {judgement.left_out}", flush=True)
        self._keep_batch(step, fault, record())
        if judgement.stop:
            dist.barrier()  # the first rank that fails ends the others
            raise GiftError(judgement.stop)

    def _keep_batch(self, step: int, fault: str, batch: Mapping[str, object]) -> None:
        """A store that is away costs the batch."""
        uri = f"{self.kept}/step-{step + 1}/rank-{dist.get_rank()}"
        with tempfile.TemporaryDirectory(prefix="gift-batch-") as folder:
            (Path(folder) / "batch.json").write_text(json.dumps(batch, ensure_ascii=False), encoding="utf-8")
            try:
                upload_directory(Path(folder), uri, metadata={"fault": fault})
                print(f"  the batch of step {step + 1} is kept at {uri}", flush=True)
            except GiftError as error:
                print(f"  the batch of step {step + 1} is not kept: {error}", flush=True)

    def copy_unsent(self, destination: Path) -> None:
        """See `MetricLog.copy_unsent`."""
        if self.metric_log is not None:
            self.metric_log.copy_unsent(destination)


@contextmanager
def step_reports(job: TrainingJob, label: str, steps: range, shown: Mapping[str, str]) -> Iterator[Reports]:
    """Args: `shown` maps the metrics of the live line to their formats, for example `{"reward": "reward {:.3f}"}`."""
    progress = Progress(label, steps.stop, done=steps.start)
    kept = f"{job.config.storage.uri}/runs/{job.mlflow_run_id}/sick"
    if dist.get_rank() != 0:
        yield Reports(progress, shown, None, kept)
        return
    with closing(MetricLog(job.mlflow_run_id, job.metric_spool)) as metric_log:
        yield Reports(progress, shown, metric_log, kept)

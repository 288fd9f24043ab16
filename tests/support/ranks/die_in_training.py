"""Run by the ranks: a training that is killed after a step, as soon as the checkpoint before that step is stored.

From the environment: the loop (DIE_MODULE), its last step (DIE_STEP), the checkpoint (DIE_CHECKPOINT) and who is killed
(DIE_VICTIM): the last rank, or the process that launched the ranks. MLflow is out of reach of these ranks, so that none
of their metrics gets there without the checkpoint.
"""

import os
import runpy
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import torch.distributed as dist

from gift.launch.rank_job import TrainingJob, read_job
from gift.storage import list_paths
from gift.storage.steps import StoredStep, complete_steps
from gift.training.reports import Reports


def main() -> None:
    job = read_job(Path(sys.argv[1]))
    report_of_living = Reports.report

    def report(reports: Reports, step: int, metrics: Mapping[str, float]) -> None:
        report_of_living(reports, step, metrics)
        if step == int(os.environ["DIE_STEP"]) and dist.get_rank() == dist.get_world_size() - 1:
            wait_until_alone(int(os.environ["DIE_CHECKPOINT"]), job)
            os.kill(victim(), signal.SIGKILL)
            time.sleep(600)

    Reports.report = report
    os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    runpy.run_module(os.environ["DIE_MODULE"], run_name="__main__", alter_sys=True)


def wait_until_alone(step: int, job: TrainingJob) -> None:
    """Return when the checkpoint of `step` is complete, and those before it are removed."""
    steps: set[str] = set()
    deadline = time.monotonic() + 60
    stored = StoredStep(step, job.config.compute.nodes)
    while steps != {f"step-{step}"} or complete_steps(job.resume.uri) != [stored]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"there should be step-{step} alone, there are {steps}")
        time.sleep(0.05)
        steps = {path.partition("/")[0] for path in list_paths(job.resume.uri)}


def victim() -> int:
    match os.environ["DIE_VICTIM"]:
        case "rank":
            return os.getpid()
        case "launcher":
            return psutil.Process(os.getppid()).ppid()  # the parent is the ranks' own
    raise ValueError(os.environ["DIE_VICTIM"])


if __name__ == "__main__":
    main()

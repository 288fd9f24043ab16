"""Run by the ranks: a training whose last rank, or whose launcher, gets SIGTERM in the middle of a step.

From the environment: the loop (STOP_MODULE), the step, counted from 0 (STOP_STEP), and who gets it (STOP_WHOM).
"""

import os
import runpy
import signal
import time
from collections.abc import Mapping

import psutil
import torch.distributed as dist

from gift.training.reports import Reports


def main() -> None:
    report_as_ever = Reports.report

    def report(reports: Reports, step: int, metrics: Mapping[str, float]) -> None:
        if step == int(os.environ["STOP_STEP"]) and dist.get_rank() == dist.get_world_size() - 1:
            launcher = psutil.Process(os.getppid()).ppid()  # the parent is the ranks' own
            os.kill({"rank": os.getpid(), "launcher": launcher}[os.environ["STOP_WHOM"]], signal.SIGTERM)
            time.sleep(2)  # until it has come down to the ranks
        report_as_ever(reports, step, metrics)

    Reports.report = report
    runpy.run_module(os.environ["STOP_MODULE"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

"""Run by the ranks: the RL loop, where the gradient of the steps in `GIFT_TEST_SICK_STEPS` (from 0) is not finite."""

import os
import runpy
from typing import Any

import torch

import gift.training.update

healthy_update = gift.training.update.update
SICK = {int(step) for step in os.environ["GIFT_TEST_SICK_STEPS"].split(",")}
steps = iter(range(1000))


def update(learner: Any, batch: Any) -> dict[str, float]:
    if next(steps) not in SICK:
        return healthy_update(learner, batch)
    handle = next(learner.engine.module.parameters()).register_hook(lambda gradient: gradient * torch.nan)
    sums = healthy_update(learner, batch)
    handle.remove()
    return sums


if __name__ == "__main__":
    gift.training.update.update = update
    runpy.run_module("gift.training.rl", run_name="__main__", alter_sys=True)

"""Metrics of a step are means over what there is: a reward that does not apply to a problem counts nowhere."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from gift.rollout.rollouts import Rollouts
from gift.training.diagnostics import batch_sums, step_metrics
from gift.training.groups import GroupBatch

CPU = torch.device("cpu")
OF_THE_UPDATE = {"updates": 1.0, "loss": 2.0, "counted": 2.0, "entropy": 4.0}


@pytest.fixture
def one_rank(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def _batch(own: list[list[float]]) -> GroupBatch:
    ids = torch.ones(4, 3, dtype=torch.long)
    rows = Rollouts(ids, ids.bool(), ids, ids.bool())
    rewards = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    return GroupBatch(rows, rewards, ("a", "b"), {"own": torch.tensor(own)}, sampled_groups=2, seconds=1.0)


@pytest.mark.parametrize(
    ("own", "mean"),
    [
        ([[0.0, 1.0], [1.0, 1.0]], 0.75),
        ([[0.0, 1.0], [math.nan, math.nan]], 0.5),
        ([[math.nan, math.nan], [math.nan, math.nan]], 0.0),
    ],
)
def test_the_mean_of_a_reward_is_over_the_responses_that_it_applies_to(
    one_rank: None, own: list[list[float]], mean: float
) -> None:
    sums = batch_sums(_batch(own), ends=(0,)) | OF_THE_UPDATE
    metrics = step_metrics(sums, grad_norm=1.0, learning_rate=0.1, seconds=1.0, earlier_tokens=0.0, device=CPU)
    assert metrics["rewards/own/mean"] == mean
    assert metrics["reward"] == 0.75


def test_a_spread_is_that_of_all_ranks_and_logged_as_it_is(one_rank: None) -> None:
    sums = batch_sums(_batch([[0.0, 1.0], [1.0, 1.0]]), ends=(0,)) | OF_THE_UPDATE | {"spread/gift/beta/p50": 0.25}
    metrics = step_metrics(sums, grad_norm=1.0, learning_rate=0.1, seconds=1.0, earlier_tokens=0.0, device=CPU)
    assert metrics["gift/beta/p50"] == 0.25

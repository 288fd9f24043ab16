"""`rollout.lag`: which policy a batch comes from, on paper and on real DeepSpeed ranks."""

import pytest
import torch
from tiny_jobs import Training, own_reward, train_together, write_inputs

from gift.rollout.rollouts import Rollouts
from gift.training.groups import GroupBatch
from gift.training.sampling import BatchQueue
from pipelines.local.services import Services

CPU = torch.device("cpu")
STEPS = 6
OF_THE_CLOCK = ("step_time", "sampling_time", "scoring_time", "tokens_per_second")


def _batch_of(policy: int, step: int) -> GroupBatch:
    ids = torch.full((2, 1), policy)
    return GroupBatch(Rollouts(ids, ids.bool(), ids, ids.bool()), torch.rand(1, 2), (f"{step}",))


@pytest.mark.parametrize(("lag", "first"), [(0, 0), (2, 0), (2, 3), (STEPS, 0), (99, 4)])
def test_a_step_learns_from_the_policy_of_lag_steps_ago(lag: int, first: int) -> None:
    """Training that begins with step `first`; the policy is called by the number of steps that are done."""
    policy, made = first, []

    def make(step: int) -> GroupBatch:
        made.append(policy)
        return _batch_of(policy, step)

    def score(batch: GroupBatch) -> GroupBatch:
        assert batch.rollouts.response_ids[0].item() == policy, "scored by another policy than the one that sampled"
        scored.append(batch.names[0])
        return GroupBatch(batch.rollouts, batch.rewards, batch.names, log_probabilities=torch.full((2, 1), -1.0))

    queue, scored = BatchQueue(make, range(first, STEPS), lag, CPU), []
    for step in range(first, STEPS):
        makes, before = queue.makes(step), len(made)
        batch = queue.take(step)
        assert makes == (len(made) > before)
        queue.keep(score)
        assert batch.names == (f"{step}",)
        assert batch.rollouts.response_ids[0].item() == max(step - lag, first)
        assert (batch.log_probabilities is None) == (policy == max(step - lag, first))
        policy += 1
    assert len(made) == STEPS - first, "nothing is sampled in vain"
    assert scored == [f"{step}" for step in range(first + 1, STEPS)] * (lag > 0)


@pytest.fixture(scope="module")
def trainings(services: Services, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Training]:
    inputs = write_inputs(tmp_path_factory.mktemp("inputs"))
    common = ("gift.training.rl", own_reward("digits"), f"rl.steps={STEPS}", "rl.checkpoint_every=0")
    still = ("rl.optimizer={learning_rate: 1.0e-30}", "rl.heldout_every=2")
    capped = ("algorithm=grpo", "grpo.kl_coefficient=0", "grpo.importance_cap=1.5", "rl.mini_batches=2")
    refill = ("algorithm=oapl", "oapl.zero_variance=refill", "rollout.refill_rounds=8", "compute.zero_stage=3")
    cases = {
        **{f"lag {lag}": (f"rollout.lag={lag}", "rl.heldout_every=1") for lag in (0, 2, STEPS)},
        **{f"still, lag {lag}": (f"rollout.lag={lag}", *still) for lag in (0, 2)},
        "capped": ("rollout.lag=2", *capped),
        "refill": ("rollout.lag=2", *refill, own_reward("rare")),
    }
    cases = {name: (*common, *settings) for name, settings in cases.items()}
    return train_together(inputs, tmp_path_factory.mktemp("lag"), cases)


def test_the_first_batches_are_those_of_the_policy_that_training_begins_with(trainings: dict[str, Training]) -> None:
    fresh, lagging, frozen = (trainings[f"lag {lag}"].metrics for lag in (0, 2, STEPS))
    for name in ("reward", "completions/mean_length"):
        assert lagging[name][:3] == frozen[name][:3]
        assert lagging[name][0] == fresh[name][0]
    assert lagging["reward"][1:3] != fresh["reward"][1:3]
    assert lagging["reward"][3:] != frozen["reward"][3:]
    # Held-out problems are answered by the newest policy: the same after the same first update.
    assert lagging["heldout_accuracy"][:2] == fresh["heldout_accuracy"][:2]
    assert len(lagging["heldout_accuracy"]) == STEPS


def test_the_distance_to_the_policy_that_sampled_is_measured(trainings: dict[str, Training]) -> None:
    lagging = trainings["lag 2"].job.history()["sampling/kl"]
    assert [step for step, _ in lagging] == list(range(1, STEPS)), "the first batch is the policy's own"
    assert all(distance > 0 for _, distance in lagging)
    assert "sampling/kl" not in trainings["lag 0"].metrics


def test_the_lag_of_a_policy_that_does_not_move_changes_nothing(trainings: dict[str, Training]) -> None:
    fresh, lagging = (trainings[f"still, lag {lag}"].metrics for lag in (0, 2))
    assert lagging.pop("sampling/kl") == [0.0] * (STEPS - 1)
    assert lagging.keys() == fresh.keys()
    for name in fresh.keys() - set(OF_THE_CLOCK):
        assert lagging[name] == fresh[name], name


def test_truncated_importance_sampling_weighs_what_an_older_policy_sampled(trainings: dict[str, Training]) -> None:
    weights = trainings["capped"].metrics["importance_weight"]
    assert weights[0] == 1
    assert all(0 < weight < 1.5 and weight != 1 for weight in weights[1:])


def test_groups_are_refilled_when_they_are_sampled(trainings: dict[str, Training]) -> None:
    metrics = trainings["refill"].metrics
    assert len(metrics["reward"]) == STEPS
    assert max(metrics["sampled_groups"]) > 4

"""From scored groups to new weights:

    log-probabilities of policy and reference (B, R) → objective → loss per group (G,) → one update per mini-batch

The loss of an update is the mean over the groups that count, on all ranks and in all micro-batches. Where none counts
there is nothing to learn, and no update is taken: with a gradient of 0, AdamW's momentum and weight decay would still
move the weights. A micro-batch holds whole groups, so that the statistics of a group are exact.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from deepspeed import DeepSpeedEngine
from torch import Tensor, nn

from gift.algorithms import GroupLosses, ScoredGroups
from gift.algorithms.objective import active_groups
from gift.config import RunConfig
from gift.health import Health
from gift.training.engine import end_update, skip_update
from gift.training.groups import GroupBatch
from gift.training.policy import response_log_probabilities
from gift.training.reduce import sum_over_ranks


@dataclass(frozen=True)
class Learner:
    """Policy, reference and objective on this rank."""

    config: RunConfig
    engine: DeepSpeedEngine
    reference: nn.Module | None
    """The SFT model; None where the objective has no use for it."""
    objective: Callable[[ScoredGroups], GroupLosses]
    device: torch.device
    health: Health


def update(learner: Learner, batch: GroupBatch) -> dict[str, float]:
    """Take `rl.mini_batches` updates, or fewer, from this rank's part of the batch. All ranks.

    Returns:
        This rank's sums over its responses, groups and tokens, for `gift.training.diagnostics`; and `updates`, how many
        were taken. Those that the learner's health refuses are left out.
    """
    config = learner.config
    groups = len(batch.names) // config.rl.mini_batches
    parts = [batch.groups(start, start + groups) for start in range(0, len(batch.names), groups)]
    # The policy that sampled: before the first update its log-probabilities are the policy's own.
    rollout = [_without_gradient(learner.engine, part, config) for part in parts] if len(parts) > 1 else [None]
    sums: defaultdict[str, float] = defaultdict(float)
    for part, rollout_log_probabilities in zip(parts, rollout, strict=True):
        counts = counted(part.rewards, config)
        total = sum_over_ranks({"counted": float(counts.sum())}, learner.device)["counted"]
        with torch.set_grad_enabled(total > 0):
            _update_once(learner, part, rollout_log_probabilities, counts, total, sums)
        sums["updates"] += float(total > 0 and learner.health.note_update(end_update(learner.engine)))
    return dict(sums)


def counted(rewards: Tensor, config: RunConfig) -> Tensor:
    """(G, N) rewards → (G,) bool: the groups that enter the loss."""
    if config.zero_variance == "keep":
        return torch.ones(len(rewards), dtype=torch.bool, device=rewards.device)
    return active_groups(rewards)


def _update_once(
    learner: Learner,
    batch: GroupBatch,
    rollout: list[Tensor] | None,
    counts: Tensor,
    total: float,
    sums: defaultdict[str, float],
) -> None:
    """Back-propagate every micro-batch and take the step; `total` groups count on all ranks. If 0, only measure."""
    config, size = learner.config, batch.group_size
    micro_batches = list(_micro_batches(batch, config))
    # DeepSpeed averages over ranks and micro-batches; the loss is a mean over the groups that count in all of them.
    scale = config.compute.ranks * len(micro_batches) / max(total, 1.0)
    for index, micro_batch in enumerate(micro_batches):
        first = index * config.rl.micro_batch_groups
        counts_here = counts[first : first + len(micro_batch.names)]
        rows, temperature = micro_batch.rollouts, config.rollout.temperature
        policy = response_log_probabilities(learner.engine, rows, temperature)  # (B, R)
        before = policy.detach() if rollout is None else rollout[index]
        reference = before
        if learner.reference is not None:
            with torch.no_grad():
                reference = response_log_probabilities(learner.reference, rows, temperature)
        outcome = learner.objective(
            ScoredGroups(
                policy=policy.view(-1, size, policy.shape[1]),
                reference=reference.view(-1, size, policy.shape[1]),
                rollout=before.view(-1, size, policy.shape[1]),
                mask=rows.response_mask.view(-1, size, policy.shape[1]),
                rewards=micro_batch.rewards,
                names=micro_batch.names,
            )
        )
        # Multiplied rather than selected: every rank needs a graph, whatever its groups.
        loss = (outcome.losses * counts_here).sum()
        if total:
            learner.engine.backward(loss * scale)
            learner.engine.step()
        sums["loss"] += loss.item()
        sums["counted"] += float(counts_here.sum())
        for name, values in outcome.metrics.items():
            sums[f"objective/{name}"] += float((values * counts_here).sum())
        sums["entropy"] -= float(policy.detach().sum())
        if learner.reference is not None:
            log_ratio = reference - policy.detach()
            sums["kl"] += float((log_ratio.exp() - log_ratio - 1).sum())  # the k3 estimator, 0 where masked
        if rows.engine_log_probabilities is not None:
            gap = torch.where(rows.response_mask, before - rows.engine_log_probabilities, 0.0)
            sums["engine_gap"] += float(gap.abs().sum())
            sums["engine_ratio"] += float(torch.where(rows.response_mask, gap.exp(), 0.0).sum())
    if not total:
        skip_update(learner.engine)


def _micro_batches(batch: GroupBatch, config: RunConfig) -> Iterator[GroupBatch]:
    step = config.rl.micro_batch_groups
    for start in range(0, len(batch.names), step):
        yield batch.groups(start, start + step)


@torch.no_grad()
def _without_gradient(engine: DeepSpeedEngine, batch: GroupBatch, config: RunConfig) -> list[Tensor]:
    """The policy's log-probabilities of each micro-batch, (B, R)."""
    return [
        response_log_probabilities(engine, micro_batch.rollouts, config.rollout.temperature)
        for micro_batch in _micro_batches(batch, config)
    ]

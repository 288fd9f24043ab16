"""From scored groups to new weights:

    log-probabilities of policy and reference (B, R) → objective → loss per group (G,) → one update per mini-batch

The loss of an update is the mean over the groups that count, on all ranks and in all micro-batches. Where none counts
there is nothing to learn, and no update is taken: with a gradient of 0, AdamW's momentum and weight decay would still
move the weights.

The statistics of a group need its responses together. A micro-batch that holds whole groups has them. Groups that are
larger than a micro-batch go through the model twice: first without gradient, then the objective gives the weight
∂L/∂ log π_t of every token, and last any part of a group adds its Σ_t weight_t · log π_t. The gradient is the same.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from deepspeed import DeepSpeedEngine
from torch import Tensor, nn

from gift.algorithms import GroupLosses, ScoredGroups
from gift.algorithms.objective import active_groups
from gift.config import RunConfig
from gift.policy.log_probabilities import TokenScores, reads_packed, score_responses
from gift.policy.micro_batches import Lengths, MicroBatch
from gift.training.engine import back_propagate, end_update, skip_update
from gift.training.groups import GroupBatch
from gift.training.health import Health
from gift.training.reduce import agreed_micro_batches, gather_over_ranks, sum_over_ranks

QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}


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


@dataclass(frozen=True)
class MiniBatch:
    """What one update learns from, and how it goes through the models."""

    batch: GroupBatch
    micro_batches: Sequence[MicroBatch]
    """As many on every rank."""
    whole_groups: bool
    """On every rank, no micro-batch cuts a group."""
    before: Tensor | None
    """(B, R) log-probabilities of the policy before the batch's first update; None: it is this one."""
    counts: Tensor
    """(G,) bool: groups that enter the loss."""
    total: float
    """How many do, on all ranks."""


@dataclass(frozen=True)
class Measured:
    """What the updates of one batch leave for its metrics, on this rank."""

    sums: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    spreads: defaultdict[str, list[Tensor]] = field(default_factory=lambda: defaultdict(list))
    """Name → (G,) of each micro-batch, NaN for a group that has none or does not count."""


def update(learner: Learner, batch: GroupBatch) -> dict[str, float]:
    """Take `rl.mini_batches` updates, or fewer, from this rank's part of the batch. All ranks.

    Returns:
        This rank's sums over its responses, groups and tokens, for `gift.training.diagnostics`; `updates`, how many
        were taken, those left out that the learner's health refuses; and `spread/…`, of all ranks, on each of them.
    """
    measured = Measured()
    for mini_batch in _mini_batches(learner, batch):
        take = _update_by_groups if mini_batch.whole_groups else _update_by_tokens
        with torch.set_grad_enabled(mini_batch.total > 0):
            take(learner, mini_batch, measured)
        if not mini_batch.total:
            skip_update(learner.engine)
        taken = mini_batch.total > 0 and learner.health.note_update(end_update(learner.engine))
        measured.sums["updates"] += float(taken)
    spreads = {name: _spread(torch.cat(values)) for name, values in measured.spreads.items()}
    return dict(measured.sums) | {f"spread/{name}/{what}": x for name in spreads for what, x in spreads[name].items()}


def with_log_probabilities(learner: Learner, batch: GroupBatch) -> GroupBatch:
    """The batch with the log-probabilities that the policy gives it now, for who learns from it later. All ranks."""
    started = time.monotonic()
    values = log_probabilities_of(learner, learner.engine, batch)
    return replace(batch, log_probabilities=values, seconds=batch.seconds + time.monotonic() - started)


def log_probabilities_of(learner: Learner, model: nn.Module, batch: GroupBatch) -> Tensor:
    """(B, R) of the learner's engine or reference, without gradient. All ranks."""
    plan, _ = _micro_batches(learner, batch)
    return _without_gradient(learner, model, batch, plan).log_probabilities


def counted(rewards: Tensor, config: RunConfig) -> Tensor:
    """(G, N) rewards → (G,) bool: the groups that enter the loss."""
    if config.zero_variance == "keep":
        return torch.ones(len(rewards), dtype=torch.bool, device=rewards.device)
    return active_groups(rewards)


def _mini_batches(learner: Learner, batch: GroupBatch) -> list[MiniBatch]:
    """One for each update. What the policy says before the first one changes it is asked here."""
    config = learner.config
    groups = len(batch.names) // config.rl.mini_batches
    parts = []
    for start in range(0, len(batch.names), groups):
        mine = batch.groups(start, start + groups)
        plan, whole_groups = _micro_batches(learner, mine)
        counts = counted(mine.rewards, config)
        total = sum_over_ranks({"counted": float(counts.sum())}, learner.device)["counted"]
        several = config.rl.mini_batches > 1
        before = _without_gradient(learner, learner.engine, mine, plan).log_probabilities if several else None
        parts.append(MiniBatch(mine, plan, whole_groups, before, counts, total))
    return parts


def _micro_batches(learner: Learner, batch: GroupBatch) -> tuple[list[MicroBatch], bool]:
    lengths = Lengths(batch.rollouts, batch.group_size, packed=reads_packed(learner.engine))
    return agreed_micro_batches(lengths, learner.config.compute.tokens_per_micro_batch)


def _update_by_groups(learner: Learner, mini_batch: MiniBatch, measured: Measured) -> None:
    """Each micro-batch has its groups whole: the objective's own gradient flows through the model.

    Where no group counts, the losses are only computed.
    """
    size = mini_batch.batch.group_size

    def loss_of(rows: MicroBatch) -> Tensor:
        groups = slice(rows.start // size, rows.stop // size)
        mine = mini_batch.batch.groups(groups.start, groups.stop)
        policy = _scores(learner, learner.engine, mini_batch.batch, rows)
        reference = None
        if learner.reference is not None:
            with torch.no_grad():
                reference = _scores(learner, learner.reference, mini_batch.batch, rows).log_probabilities
        before = None if mini_batch.before is None else mini_batch.before[rows.start : rows.stop]
        return _loss(learner, mine, policy, reference, before, mini_batch.counts[groups], measured) * _scale(
            learner, mini_batch
        )

    if mini_batch.total:
        back_propagate(learner.engine, mini_batch.micro_batches, loss_of)
    else:
        for rows in mini_batch.micro_batches:
            loss_of(rows)


def _update_by_tokens(learner: Learner, mini_batch: MiniBatch, measured: Measured) -> None:
    """The objective's gradient first, with respect to the log-probabilities of whole groups, then the model's."""
    policy = _without_gradient(learner, learner.engine, mini_batch.batch, mini_batch.micro_batches)
    reference = None
    if learner.reference is not None:
        reference = _without_gradient(
            learner, learner.reference, mini_batch.batch, mini_batch.micro_batches
        ).log_probabilities
    leaf = policy.log_probabilities.requires_grad_(mini_batch.total > 0)
    loss = _loss(
        learner,
        mini_batch.batch,
        replace(policy, log_probabilities=leaf),
        reference,
        mini_batch.before,
        mini_batch.counts,
        measured,
    )
    if mini_batch.total:
        (weights,) = torch.autograd.grad(loss * _scale(learner, mini_batch), leaf)  # (B, R)

        def loss_of(rows: MicroBatch) -> Tensor:
            scores = _scores(learner, learner.engine, mini_batch.batch, rows)
            return (scores.log_probabilities * weights[rows.start : rows.stop]).sum()

        back_propagate(learner.engine, mini_batch.micro_batches, loss_of)


def _scale(learner: Learner, mini_batch: MiniBatch) -> float:
    """DeepSpeed averages over ranks; the loss is a mean over the groups that count on all of them."""
    return learner.config.compute.ranks / max(mini_batch.total, 1.0)


def _loss(
    learner: Learner,
    batch: GroupBatch,
    policy: TokenScores,
    reference: Tensor | None,
    before: Tensor | None,
    counts: Tensor,
    measured: Measured,
) -> Tensor:
    """The loss summed over the groups that count, a scalar, and everything worth measuring added to `measured`."""
    fixed = policy.log_probabilities.detach()  # (B, R)
    before = fixed if before is None else before
    rollout = before if batch.log_probabilities is None else batch.log_probabilities
    outcome = learner.objective(_scored_groups(batch, policy.log_probabilities, reference, before, rollout))
    # Multiplied rather than selected: every rank needs a graph, whatever its groups.
    loss: Tensor = (outcome.losses * counts).sum()
    measured.sums["loss"] += loss.item()
    measured.sums["entropy"] += float(policy.entropies.sum())
    _measure_groups(outcome, counts, measured)
    _measure_ratios(batch, fixed, reference, rollout, measured.sums)
    return loss


def _scored_groups(
    batch: GroupBatch, policy: Tensor, reference: Tensor | None, before: Tensor, rollout: Tensor
) -> ScoredGroups:
    """What the objective sees, of (B, R) log-probabilities each; without a reference, the policy before is its own."""

    def grouped(values: Tensor) -> Tensor:
        return values.view(-1, batch.group_size, values.shape[1])

    engine = batch.rollouts.engine_log_probabilities
    return ScoredGroups(
        policy=grouped(policy),
        reference=grouped(before if reference is None else reference),
        rollout=grouped(rollout),
        mask=grouped(batch.rollouts.response_mask),
        rewards=batch.rewards,
        names=batch.names,
        truncated=batch.truncated,
        before=grouped(before),
        sampler=None if engine is None else grouped(engine),
    )


def _measure_groups(outcome: GroupLosses, counts: Tensor, measured: Measured) -> None:
    """What the objective says of each group, (G,), where it counts."""
    measured.sums["counted"] += float(counts.sum())
    for name, values in outcome.metrics.items():
        measured.sums[f"objective/{name}"] += float((values * counts).sum())
    for name, values in outcome.spreads.items():
        measured.spreads[name].append(torch.where(counts, values, torch.nan).float())


def _measure_ratios(
    batch: GroupBatch, policy: Tensor, reference: Tensor | None, rollout: Tensor, sums: defaultdict[str, float]
) -> None:
    """How far the policy is from the reference, from the one that sampled and from the engine's own; (B, R) each."""
    if reference is not None:
        log_ratio = reference - policy
        sums["kl"] += float((log_ratio.exp() - log_ratio - 1).sum())  # the k3 estimator, 0 where masked
    if batch.log_probabilities is not None:
        log_ratio = policy - rollout
        sums["lag_kl"] += float((log_ratio.exp() - log_ratio - 1).sum())  # k3 at tokens of the policy that sampled
    if batch.rollouts.engine_log_probabilities is not None:
        gap = torch.where(batch.rollouts.response_mask, rollout - batch.rollouts.engine_log_probabilities, 0.0)
        sums["engine_gap"] += float(gap.abs().sum())
        sums["engine_ratio"] += float(torch.where(batch.rollouts.response_mask, gap.exp(), 0.0).sum())


def _spread(values: Tensor) -> dict[str, float]:
    """Mean and quantiles over the groups of all ranks that have a value; nothing where none has. All ranks."""
    every = gather_over_ranks(values)
    known = every[~every.isnan()]
    if not len(known):
        return {}
    return {"mean": float(known.mean())} | {name: float(known.quantile(q)) for name, q in QUANTILES.items()}


def _scores(learner: Learner, model: nn.Module, batch: GroupBatch, rows: MicroBatch) -> TokenScores:
    rollouts = batch.rollouts.rows(rows.start, rows.stop)
    return score_responses(model, rollouts, rows.group_sizes, learner.config.rollout.temperature)


@torch.no_grad()
def _without_gradient(
    learner: Learner, model: nn.Module, batch: GroupBatch, micro_batches: Sequence[MicroBatch]
) -> TokenScores:
    """The scores of the whole batch."""
    parts = [_scores(learner, model, batch, rows) for rows in micro_batches]
    return TokenScores(
        torch.cat([part.log_probabilities for part in parts]), torch.cat([part.entropies for part in parts])
    )

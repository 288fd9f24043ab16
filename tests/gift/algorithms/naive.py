"""The objectives written a second time, scalar by scalar, as their formulas read; slow, and nothing is shared."""

import math

import torch
from torch import Tensor

from gift.algorithms import ScoredGroups
from gift.config import (
    CispoConfig,
    DapoConfig,
    DpoConfig,
    DrGrpoConfig,
    GiftConfig,
    GrpoConfig,
    GspoConfig,
    GvpoConfig,
    OaplConfig,
    UnaConfig,
)

LONGEST = 6
"""Tokens that a response may have."""


def gift(groups: ScoredGroups, options: GiftConfig) -> Tensor:
    base = groups.reference if options.reference == "sft" else groups.rollout
    losses = []
    for group in range(len(groups.rewards)):
        s = [_log_ratio(groups, base, group, i, options.reduction == "mean") for i in range(groups.rewards.shape[1])]
        r = [float(reward) for reward in groups.rewards[group]]
        n = len(s)
        divisor = n if options.std == "biased" else n - 1
        statistics = s if options.statistics == "attached" else [x.detach() for x in s]
        mean_s = sum(statistics) / n
        std_s = (sum((x - mean_s) ** 2 for x in statistics) / divisor) ** 0.5
        if std_s < options.std_floor:
            std_s = torch.tensor(options.std_floor, dtype=torch.float64)
        mean_r = sum(r) / n
        std_r = math.sqrt(sum((x - mean_r) ** 2 for x in r) / divisor)
        a = [(x - mean_r) / std_r for x in r]
        b = [options.scale * (x - mean_s) / (std_s + options.std_epsilon) for x in s]
        losses.append(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / n)
    return torch.stack(losses)


def grpo(groups: ScoredGroups, options: GrpoConfig) -> Tensor:
    losses = []
    for group in range(len(groups.rewards)):
        r = [float(reward) for reward in groups.rewards[group]]
        n = len(r)
        mean = sum(r) / n
        std = math.sqrt(sum((x - mean) ** 2 for x in r) / (n - 1)) if options.normalise_std else 1.0
        total = torch.zeros((), dtype=torch.float64)
        for i in range(n):
            advantage = (r[i] - mean) / std
            length = int(groups.mask[group, i].sum())
            for t in range(length):
                capped = options.importance_cap is not None
                new, ref = groups.policy[group, i, t], groups.reference[group, i, t]
                old = (groups.before if capped else groups.rollout)[group, i, t]
                surrogate = _clipped(torch.exp(new) / torch.exp(old), advantage, options)
                if capped:
                    weight = torch.exp(old) / torch.exp(groups.sampler[group, i, t])
                    surrogate = surrogate * weight.clamp(max=options.importance_cap)
                total = total - (surrogate - options.kl_coefficient * _k3(new, ref)) / length / n
        losses.append(total)
    return torch.stack(losses)


def dr_grpo(groups: ScoredGroups, options: DrGrpoConfig) -> Tensor:
    losses = []
    for group in range(len(groups.rewards)):
        r = [float(reward) for reward in groups.rewards[group]]
        total = torch.zeros((), dtype=torch.float64)
        for i in range(len(r)):
            for t in range(int(groups.mask[group, i].sum())):
                new, old, ref = (x[group, i, t] for x in (groups.policy, groups.rollout, groups.reference))
                surrogate = _clipped(torch.exp(new) / torch.exp(old), r[i] - sum(r) / len(r), options)
                total = total - (surrogate - options.kl_coefficient * _k3(new, ref)) / LONGEST / len(r)
        losses.append(total)
    return torch.stack(losses)


def dapo(groups: ScoredGroups, options: DapoConfig) -> Tensor:
    losses = []
    for group in range(len(groups.rewards)):
        lengths = [int(row.sum()) for row in groups.mask[group]]
        start, r = LONGEST - options.overlong_share * LONGEST, []
        for reward, length in zip(groups.rewards[group].tolist(), lengths, strict=True):
            over = max(0.0, length - start) / (options.overlong_share * LONGEST)
            r.append(reward - options.overlong_penalty * over)
        total, tokens = torch.zeros((), dtype=torch.float64), 0
        for i, advantage in enumerate(_normalised(r)):
            if options.overlong_filter and groups.truncated is not None and groups.truncated[group, i]:
                continue
            tokens += lengths[i]
            for t in range(lengths[i]):
                ratio = torch.exp(groups.policy[group, i, t]) / torch.exp(groups.rollout[group, i, t])
                total = total - _clipped(ratio, advantage, options)
        losses.append(total / max(tokens, 1))
    return torch.stack(losses)


def gspo(groups: ScoredGroups, options: GspoConfig) -> Tensor:
    losses = []
    for group in range(len(groups.rewards)):
        advantages = _normalised([float(reward) for reward in groups.rewards[group]])
        total = torch.zeros((), dtype=torch.float64)
        for i, advantage in enumerate(advantages):
            length = int(groups.mask[group, i].sum())
            ratio = torch.ones((), dtype=torch.float64)
            for t in range(length):
                ratio = ratio * torch.exp(groups.policy[group, i, t]) / torch.exp(groups.rollout[group, i, t])
            kl = sum(_k3(groups.policy[group, i, t], groups.reference[group, i, t]) for t in range(length)) / length
            total = total - _clipped(ratio ** (1 / length), advantage, options) + options.kl_coefficient * kl
        losses.append(total / len(advantages))
    return torch.stack(losses)


def cispo(groups: ScoredGroups, options: CispoConfig) -> Tensor:
    losses = []
    for group in range(len(groups.rewards)):
        advantages = _normalised([float(reward) for reward in groups.rewards[group]])
        total, tokens = torch.zeros((), dtype=torch.float64), 0
        for i, advantage in enumerate(advantages):
            for t in range(int(groups.mask[group, i].sum())):
                new, old = groups.policy[group, i, t], groups.rollout[group, i, t]
                weight = min(math.exp(new.item()) / math.exp(old.item()), options.weight_max)
                total, tokens = total - weight * advantage * new, tokens + 1
        losses.append(total / tokens)
    return torch.stack(losses)


def oapl(groups: ScoredGroups, options: OaplConfig) -> Tensor:
    losses = []
    for group in range(len(groups.rewards)):
        r = [float(reward) for reward in groups.rewards[group]]
        value = options.value_beta * math.log(sum(math.exp(x / options.value_beta) for x in r) / len(r))
        s = [_log_ratio(groups, groups.rollout, group, i) for i in range(len(r))]
        losses.append(sum((options.beta * s[i] - (r[i] - value)) ** 2 for i in range(len(r))) / len(r))
    return torch.stack(losses)


def gvpo(groups: ScoredGroups, options: GvpoConfig) -> Tensor:
    base = groups.reference if options.reference == "sft" else groups.rollout
    losses = []
    for group in range(len(groups.rewards)):
        r = groups.rewards[group]
        n = len(r)
        s = [_log_ratio(groups, base, group, i) for i in range(n)]
        terms = [(options.beta * (s[i] - sum(s) / n) - (r[i] - sum(r) / n)) ** 2 for i in range(n)]
        losses.append(sum(terms) / n)
    return torch.stack(losses)


def dpo(groups: ScoredGroups, options: DpoConfig) -> Tensor:
    losses = []
    for group in range(len(groups.rewards)):
        r = groups.rewards[group]
        s = [_log_ratio(groups, groups.reference, group, i) for i in range(len(r))]
        terms = [
            torch.log(1 + torch.exp(-options.beta * (s[w] - s[loser])))
            for w in range(len(r))
            for loser in range(len(r))
            if r[w] > r[loser]
        ]
        losses.append(sum(terms) / len(terms))
    return torch.stack(losses)


def una(groups: ScoredGroups, options: UnaConfig) -> Tensor:
    losses = []
    for group in range(len(groups.rewards)):
        r = groups.rewards[group]
        s = [_log_ratio(groups, groups.reference, group, i) for i in range(len(r))]
        terms = [(1 / (1 + torch.exp(-options.beta * s[i])) - r[i]) ** 2 for i in range(len(r))]
        losses.append(sum(terms) / len(r))
    return torch.stack(losses)


def _normalised(rewards: list[float]) -> list[float]:
    n = len(rewards)
    mean = sum(rewards) / n
    std = math.sqrt(sum((x - mean) ** 2 for x in rewards) / (n - 1))
    return [(x - mean) / std for x in rewards]


def _clipped(ratio: Tensor, advantage: float, options: GrpoConfig | DrGrpoConfig | DapoConfig | GspoConfig) -> Tensor:
    clipped = torch.clamp(ratio, 1 - options.clip_low, 1 + options.clip_high)
    return min(ratio * advantage, clipped * advantage)


def _k3(new: Tensor, ref: Tensor) -> Tensor:
    return torch.exp(ref) / torch.exp(new) - (ref - new) - 1


def _log_ratio(groups: ScoredGroups, base: Tensor, group: int, response: int, average: bool = False) -> Tensor:
    real = [t for t in range(groups.mask.shape[2]) if groups.mask[group, response, t]]
    total = sum(groups.policy[group, response, t] - base[group, response, t] for t in real)
    return total / len(real) if average else total

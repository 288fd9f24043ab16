"""Groups of scored responses: what a step learns from.

A group is made on one rank and never leaves it. Left out: where the responses come from (`gift.training.sampling`).
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from gift.data.problems import Problem
from gift.data.tokens import is_end, response_texts
from gift.rewards import Scorer
from gift.rollout.rollouts import Rollouts, concatenate


@dataclass(frozen=True)
class GroupBatch:
    """G groups of N scored responses on this rank; the rows of `rollouts` are the groups one after the other."""

    rollouts: Rollouts
    """B = G·N responses."""
    rewards: Tensor
    """(G, N) float32."""
    names: tuple[str, ...]
    """(G,) ids of the problems."""
    by_name: Mapping[str, Tensor] = field(default_factory=dict)
    """Name of a reward → (G, N), before weighting."""
    truncated: Tensor | None = None
    """(G, N) bool: responses that were cut off before they ended; None where nobody sampled them."""
    log_probabilities: Tensor | None = None
    """(B, R) in nats, of the policy that sampled; None where it is the one that learns from them."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """Name of a reward → responses that it could not judge in time; they count as 0 in the rewards."""
    sampled_groups: int = 0
    """Groups that were sampled for this batch, those that were replaced included."""
    seconds: float = 0.0
    """Sampling and scoring."""
    scoring_seconds: float = 0.0
    """What scoring took after everything was sampled."""

    @property
    def group_size(self) -> int:
        """N."""
        return self.rewards.shape[1]

    def record(self) -> dict[str, object]:
        """For people: the token ids and rewards of every group."""
        rows, size = self.rollouts, self.group_size
        responses = [ids[mask].tolist() for ids, mask in zip(rows.response_ids, rows.response_mask, strict=True)]
        prompts = [ids[mask].tolist() for ids, mask in zip(rows.prompt_ids, rows.prompt_mask, strict=True)]
        return {
            "groups": [
                {
                    "problem": name,
                    "prompt_ids": prompts[index * size],
                    "response_ids": responses[index * size : (index + 1) * size],
                    "rewards": self.rewards[index].tolist(),
                }
                for index, name in enumerate(self.names)
            ]
        }

    def groups(self, start: int, stop: int) -> "GroupBatch":
        """The groups start … stop − 1, without the figures of the whole batch."""
        size = self.group_size
        return GroupBatch(
            self.rollouts.rows(start * size, stop * size),
            self.rewards[start:stop],
            self.names[start:stop],
            {name: values[start:stop] for name, values in self.by_name.items()},
            truncated=None if self.truncated is None else self.truncated[start:stop],
            log_probabilities=(
                None if self.log_probabilities is None else self.log_probabilities[start * size : stop * size]
            ),
        )

    def to(self, device: torch.device) -> "GroupBatch":
        """On another device, or as it is."""
        return replace(
            self,
            rollouts=self.rollouts.to(device),
            rewards=self.rewards.to(device),
            by_name={name: values.to(device) for name, values in self.by_name.items()},
            truncated=None if self.truncated is None else self.truncated.to(device),
            log_probabilities=None if self.log_probabilities is None else self.log_probabilities.to(device),
        )


def truncated_responses(rollouts: Rollouts, ends: Sequence[int]) -> Tensor:
    """(B,) bool: responses without a token that ends one."""
    return ~(is_end(rollouts.response_ids, ends) & rollouts.response_mask).any(dim=1)


def score(
    scorer: Scorer,
    tokenizer: PreTrainedTokenizerBase,
    rollouts: Rollouts,
    problems: Sequence[Problem],
    ends: Sequence[int],
) -> GroupBatch:
    """Rewards of B = G·N rollouts for G problems; `ends` are the tokens that end a response, which no judge reads.

    Raises:
        GiftError: a reward is no finite number, or fails.
    """
    size = len(rollouts) // len(problems)
    texts = response_texts(tokenizer, rollouts.response_ids, rollouts.response_mask, ends)
    repeated = [problem for problem in problems for _ in range(size)]
    started = time.monotonic()
    scores = scorer.score(texts, repeated, rollouts.response_mask.sum(dim=1).tolist())
    scoring_seconds = time.monotonic() - started

    def per_group(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=rollouts.response_ids.device).view(-1, size)

    return GroupBatch(
        rollouts=rollouts,
        rewards=per_group(scores.total),
        names=tuple(problem.id for problem in problems),
        by_name={name: per_group(values) for name, values in scores.by_name.items()},
        truncated=truncated_responses(rollouts, ends).view(-1, size),
        errors=scores.errors,
        sampled_groups=len(problems),
        scoring_seconds=scoring_seconds,
    )


def concatenate_groups(parts: Sequence[GroupBatch], pad: int) -> GroupBatch:
    """All groups in order, without the figures of their batches; `pad` fills up shorter rows."""
    if len(parts) == 1:
        return parts[0]
    truncated = [part.truncated for part in parts if part.truncated is not None]
    return GroupBatch(
        rollouts=concatenate([part.rollouts for part in parts], pad),
        rewards=torch.cat([part.rewards for part in parts]),
        names=tuple(name for part in parts for name in part.names),
        by_name={name: torch.cat([part.by_name[name] for part in parts]) for name in parts[0].by_name},
        truncated=torch.cat(truncated) if len(truncated) == len(parts) else None,
    )

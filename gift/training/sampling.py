"""Where the groups of one step come from: sampled and scored, or read from a data set.

prompts ── rollout engine ──> N responses each ── rewards ──> GroupBatch of this rank
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
import torch.distributed as dist
from deepspeed import DeepSpeedEngine
from transformers import PreTrainedTokenizerBase

from gift.algorithms.objective import active_groups
from gift.config import RunConfig
from gift.data.problems import Problem
from gift.data.prompts import answer_ids
from gift.data.scored import ScoredProblem
from gift.data.tokens import pad_left, pad_right, response_text, tokenize_prompts
from gift.errors import GiftError
from gift.launch.deadline import deadline
from gift.rewards import Response, Scorer
from gift.rollout.engine import RolloutEngine
from gift.rollout.rollouts import Rollouts
from gift.training.engine import gathered_parameters
from gift.training.groups import GroupBatch, concatenate_groups, score
from gift.training.order import derived_seed
from gift.training.reduce import sum_over_ranks

LAST_WORDS_SECONDS = 5.0
"""For an engine that notices by itself that it is late, and knows more about it than the parent of the ranks."""


def engine_deadline(config: RunConfig, what: str) -> AbstractContextManager[None]:
    """Around a call of the rollout engine: the rank is ended if it takes longer than `rollout.timeout_minutes`."""
    minutes, engine = config.rollout.timeout_minutes, config.rollout.engine
    hint = f"rollout.engine {engine} hangs, or needs more than rollout.timeout_minutes ({minutes:g})"
    return deadline(what, 60 * minutes + LAST_WORDS_SECONDS, hint)


@dataclass(frozen=True)
class Sampler:
    """Samples and scores groups with the policy's newest weights."""

    config: RunConfig
    policy: DeepSpeedEngine
    engine: RolloutEngine
    tokenizer: PreTrainedTokenizerBase
    ends: Sequence[int]
    """Token ids that end a response."""
    scorer: Scorer
    problems: Sequence[Problem]
    prompts: Sequence[Sequence[int]]
    """Token ids of the problems' prompts."""
    order: Iterator[int]
    """This rank's problems, without end."""
    check_sync: Callable[[], None] | None
    """Fails where the engine has not taken over new weights; None for one that samples from the policy itself."""

    def refresh(self) -> float:
        """Hand the policy's weights to the rollout engine, and return how many seconds that took. All ranks.

        Raises:
            GiftError: the engine still has other weights.
        """
        started = time.monotonic()
        with engine_deadline(self.config, "handing new weights to its rollout engine"):
            self.engine.refresh(self.policy.module)
            if self.check_sync is not None:
                self.check_sync()
        return time.monotonic() - started

    def rest(self) -> None:
        """Nobody samples before the next `refresh`. All ranks."""
        with engine_deadline(self.config, "putting its rollout engine to sleep"):
            self.engine.rest()

    def sampling(self) -> AbstractContextManager[None]:
        """Sampling belongs inside, where the policy is whole for an engine that samples from it. All ranks."""
        return gathered_parameters(self.policy) if self.engine.samples_from_policy else nullcontext()

    def batch(self, groups: int, step: int) -> GroupBatch:
        """The next `groups` groups of this rank. With `zero_variance: refill`, those whose rewards are all equal are
        replaced by groups of further prompts, as often as `rollout.refill_rounds` allows. All ranks: one that has its
        groups goes through the rounds of the others with nothing to sample.
        """
        started = time.monotonic()
        kept: list[GroupBatch] = []
        errors: dict[str, int] = {}
        missing, sampled, scoring_seconds = groups, 0, 0.0
        rounds = 1 + (self.config.rollout.refill_rounds if self.config.zero_variance == "refill" else 0)
        with self.sampling():
            for attempt in range(rounds):
                last = attempt == rounds - 1
                new = self._sample([next(self.order) for _ in range(missing)], step, attempt)
                if new is not None:
                    sampled += missing
                    scoring_seconds += new.scoring_seconds
                    errors = {name: errors.get(name, 0) + count for name, count in new.errors.items()}
                    keep = torch.ones(missing, dtype=torch.bool) if last else active_groups(new.rewards).cpu()
                    kept += [new] if keep.all() else [new.groups(i, i + 1) for i in keep.nonzero().flatten().tolist()]
                    missing -= int(keep.sum())
                if last or not sum_over_ranks({"missing": float(missing)}, self.policy.device)["missing"]:
                    break
        batch = concatenate_groups(kept, self.tokenizer.pad_token_id)
        seconds = time.monotonic() - started
        return replace(batch, errors=errors, sampled_groups=sampled, seconds=seconds, scoring_seconds=scoring_seconds)

    def _sample(self, chosen: Sequence[int], step: int, attempt: int) -> GroupBatch | None:
        """Scored groups of the chosen problems; None for none."""
        seed = derived_seed(self.config.seed, "rollout", step, attempt, dist.get_rank())
        prompts, problems = [self.prompts[index] for index in chosen], [self.problems[index] for index in chosen]
        return self.scored(prompts, problems, self.config.rollout.group_size, seed)

    def scored(
        self, prompts: Sequence[Sequence[int]], problems: Sequence[Problem], responses: int, seed: int
    ) -> GroupBatch | None:
        """Scored groups of `responses` responses to each problem; None without a problem. All ranks, also those.

        Rewards in processes of their own judge what has ended while the rest is sampled.
        """

        def begin(row: int, ids: Sequence[int]) -> None:
            text = response_text(self.tokenizer, ids, self.ends)
            self.scorer.begin(Response(text, problems[row // responses], len(ids)))

        with engine_deadline(self.config, f"sampling {len(prompts)} x {responses} responses"):
            rollouts = self.engine.sample(prompts, responses, seed, finished=begin)
        return score(self.scorer, self.tokenizer, rollouts, problems, self.ends) if problems else None


class BatchQueue:
    """Batches in the order in which steps learn from them, each made `lag` steps before its own.

    Step s learns from what was made at step s − lag, or, where training had not begun then, at its first step. So the
    policy is `lag` steps older than the one that learns, and no old weights are kept: those that wait are batches, in
    main memory.
    """

    def __init__(self, make: Callable[[int], GroupBatch], steps: range, lag: int, device: torch.device) -> None:
        """Args: `make` returns this rank's part of the batch of a step, called for one step after the other."""
        self._make, self._lag, self._device = make, lag, device
        self._made, self._end = steps.start, steps.stop
        self._waiting: deque[GroupBatch] = deque()

    def makes(self, step: int) -> bool:
        """Whether `take` will make a batch."""
        return self._made < min(step + self._lag + 1, self._end)

    def take(self, step: int) -> GroupBatch:
        """The batch that `step` learns from. All ranks, for one step after the other."""
        while self.makes(step):
            self._waiting.append(self._make(self._made))
            self._made += 1
        return self._waiting.popleft().to(self._device)

    def keep(self, scored: Callable[[GroupBatch], GroupBatch]) -> None:
        """Batches that wait are `scored` by the policy that sampled them, before it learns. All ranks, after `take`."""
        for index, batch in enumerate(self._waiting):
            if batch.log_probabilities is None:
                self._waiting[index] = scored(batch).to(torch.device("cpu"))


@dataclass(frozen=True)
class ScoredData:
    """Groups that somebody else sampled and scored, as token ids."""

    batches: Sequence[GroupBatch]
    """One group each."""
    order: Iterator[int]
    """This rank's groups, without end."""
    pad: int

    def batch(self, groups: int) -> GroupBatch:
        """The next `groups` groups of this rank."""
        chosen = [self.batches[next(self.order)] for _ in range(groups)]
        return replace(concatenate_groups(chosen, self.pad), sampled_groups=groups)


def scored_data(
    rows: Sequence[ScoredProblem],
    tokenizer: PreTrainedTokenizerBase,
    config: RunConfig,
    order: Iterator[int],
    device: torch.device,
) -> ScoredData:
    """Tokenize a data set of scored responses.

    Raises:
        GiftError: a row has other than `rollout.group_size` responses, or a prompt or response is too long.
    """
    limit, size = config.rollout.max_new_tokens, config.rollout.group_size
    problems = [Problem(row.id, row.question, row.answer, row.final_answer) for row in rows]
    prompts = tokenize_prompts(tokenizer, problems, config.prompt_format, config.rollout.max_prompt_tokens)
    batches = []
    for row, prompt in zip(rows, prompts, strict=True):
        if len(row.responses) != size:
            raise GiftError(
                f"scored problem {row.id} has {len(row.responses)} responses, rollout.group_size is {size}; "
                "all rows need that many"
            )
        responses = answer_ids(tokenizer, row.responses, config.prompt_format)
        longest = max(map(len, responses))
        if longest > limit:
            raise GiftError(
                f"a response of scored problem {row.id} has {longest} tokens, rollout.max_new_tokens is {limit}; "
                "remove the row or raise the limit"
            )
        ids, mask = pad_left([prompt] * size, tokenizer.pad_token_id)
        response_ids, response_mask = pad_right(responses, tokenizer.pad_token_id)
        rewards = torch.tensor([row.scores], dtype=torch.float32, device=device)
        rollouts = Rollouts(ids.to(device), mask.to(device), response_ids.to(device), response_mask.to(device))
        batches.append(GroupBatch(rollouts, rewards, (row.id,), {"score": rewards}))
    return ScoredData(batches, order, tokenizer.pad_token_id)

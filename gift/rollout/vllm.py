"""Rollouts with vLLM: continuous batching, and a group's prompt is read once.

    refresh: policy ── portions in shared memory ──> vLLM's weights, in place
    sample:  prompts, one seed each ──> vLLM ──> token ids and their log-probabilities ──> Rollouts

vLLM runs in a process beside the rank (`gift.rollout.vllm_process`) or as a server (`gift.rollout.vllm_server`). Ranks
that share a process ask it once, for all of them, so that it wakes and sleeps once. A server takes the requests of all
ranks at once by itself, and never sleeps: each rank asks it alone.

Nothing is cut from the policy: top_p 1, no top_k, no min_p, and the model's own generation settings are ignored.
"""

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from gift.config import RunConfig
from gift.data.tokens import pad_left, pad_right
from gift.errors import GiftError
from gift.models.loading import torch_dtype
from gift.rollout.engine import Finished
from gift.rollout.ranks import Ranks
from gift.rollout.rollouts import Rollouts, no_rollouts
from gift.rollout.weight_sums import HeldWeight, Sums, WeightSum
from gift.rollout.weights import Weights, in_portions, shared_weights, sums_of
from gift.weights.portions import PORTION_BYTES

HEAD = "lm_head.weight"
WITHOUT_HEAD = ("gemma", "gemma2", "gemma3", "gemma3_text")
"""`model_type`s whose head is their embeddings, in transformers and in vLLM."""


@dataclass(frozen=True)
class Completion:
    """One response: T token ids, the one that ends it included, and their log-probabilities as sampled."""

    ids: Sequence[int]
    log_probabilities: Sequence[float]


class VllmClient(Protocol):
    """A running vLLM."""

    def load(self, weights: Path) -> None:
        """Replace those of its weights that the folder has, whole layers, and forget what it computed with others."""

    def held(self) -> Sequence[HeldWeight]:
        """What it computes with now, as far as it can say; none where it can't."""

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        responses: int,
        max_new_tokens: int,
        *,
        temperature: float,
    ) -> Iterator[tuple[int, list[Completion]]]:
        """The place of each prompt (one or more) and its `responses` completions, in the order in which they end."""

    def rest(self) -> None:
        """Give up its memory until the next `load`, weights included."""

    def close(self) -> None:
        """End it, or the connection to it."""


class VllmEngine:
    """A `RolloutEngine` on a running vLLM; see `gift.rollout.choose.open_engine` for how it is started."""

    samples_from_policy = False

    def __init__(
        self,
        client: VllmClient | None,
        config: RunConfig,
        device: torch.device,
        *,
        pad: int,
        users: Ranks,
        loads: bool,
        sharers: Ranks,
        weights_of: Callable[[nn.Module], Weights],
    ) -> None:
        """
        Args:
            client: the vLLM of the first of `users`; None on the others.
            users: the ranks that sample together, which the first of them does for all.
            loads: whether this rank is the one that hands new weights to it.
            sharers: the ranks that share one copy of the new weights.
            weights_of: the weights of a policy, whole one after the other.
        """
        self._client = client
        self._max_new_tokens = config.rollout.max_new_tokens
        self._temperature = config.rollout.temperature
        self._dtype = torch_dtype(config.compute.precision)
        # A server would log every layer that a portion leaves out as one that failed to load.
        self._portion_bytes = PORTION_BYTES if config.rollout.vllm.placement == "beside-rank" else math.inf
        self._device = device
        self._pad = pad
        self._users = users
        self._loads = loads
        self._sharers = sharers
        self._weights_of = weights_of
        self._comparable: frozenset[str] | None = None  # parameters that vLLM holds as they were sent

    def refresh(self, policy: nn.Module) -> None:
        """See `RolloutEngine.refresh`.

        Raises:
            GiftError: vLLM does not hold what it was sent; the text names the parameters.
        """
        loader = self._client if self._loads else None
        sent: dict[str, WeightSum] = {}
        weights = _with_vllms_names(policy, self._weights_of(policy))
        for portion in in_portions(weights, self._dtype, self._portion_bytes):
            with shared_weights(portion, self._dtype, self._sharers) as folder:
                if loader is not None:
                    loader.load(folder)
                    sent |= sums_of(folder)
        if loader is not None:
            self._compare(loader.held(), sent)

    def _compare(self, held: Sequence[HeldWeight], sent: Sums) -> None:
        same = frozenset(weight.name for weight in held if weight.is_what(sent))
        if self._comparable is None:
            self._comparable = same
        stale = sorted(self._comparable - same)
        if stale:
            raise GiftError(
                f"stale weights: after a sync vLLM does not hold the trainer's values of {', '.join(stale[:3])} "
                f"({len(stale)} of {len(self._comparable)} parameters that can be compared); "
                "use rollout.engine: transformers, or another version of vLLM"
            )

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        responses: int,
        seed: int,
        max_new_tokens: int | None = None,
        finished: Finished | None = None,
    ) -> Rollouts:
        """See `RolloutEngine.sample`. Ranks that share vLLM hear of nothing early, but for the first of them."""
        seeds = [prompt_seed(seed, index) for index in range(len(prompts))]
        asked = self._users.gather((prompts, seeds))
        answers = self._complete(asked, responses, max_new_tokens or self._max_new_tokens, finished)
        completions: list[Completion] = self._users.scatter(answers)
        if not prompts:
            return no_rollouts(self._device)
        prompt_ids, prompt_mask = (part.repeat_interleave(responses, dim=0) for part in pad_left(prompts, self._pad))
        response_ids, response_mask = pad_right([completion.ids for completion in completions], self._pad)
        log_probabilities = pad_sequence(
            [torch.tensor(completion.log_probabilities) for completion in completions], batch_first=True
        )
        return Rollouts(
            prompt_ids.to(self._device),
            prompt_mask.to(self._device),
            response_ids.to(self._device),
            response_mask.to(self._device),
            log_probabilities.to(self._device),
        )

    def rest(self) -> None:
        if self._client is not None:
            self._client.rest()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _complete(
        self,
        asked: Sequence[tuple[Sequence[Sequence[int]], Sequence[int]]],
        responses: int,
        max_new_tokens: int,
        finished: Finished | None,
    ) -> list[list[Completion]]:
        """The completions of each rank's prompts and seeds, from one call of vLLM; none where another rank asks.

        `finished` is the first rank's, whose prompts are the first.
        """
        prompts = [prompt for rank_prompts, _ in asked for prompt in rank_prompts]
        seeds = [seed for _, rank_seeds in asked for seed in rank_seeds]
        if self._client is None or not prompts:
            return [[] for _ in asked]
        groups: dict[int, list[Completion]] = {}
        for place, group in self._client.complete(
            prompts, seeds, responses, max_new_tokens, temperature=self._temperature
        ):
            groups[place] = group
            if finished and place < len(asked[0][0]):
                for offset, completion in enumerate(group):
                    finished(place * responses + offset, completion.ids)
        in_order = itertools.chain.from_iterable(groups[place] for place in range(len(prompts)))
        return [list(itertools.islice(in_order, len(rank_prompts) * responses)) for rank_prompts, _ in asked]


def _with_vllms_names(policy: nn.Module, weights: Weights) -> Weights:
    """Families whose head vLLM has only as the embeddings know no name for it; others must be given it, too."""
    if getattr(getattr(policy, "config", None), "model_type", "") not in WITHOUT_HEAD:
        return weights
    sizes = [(name, elements) for name, elements in weights.sizes if name != HEAD]
    return Weights(sizes, ((name, tensor) for name, tensor in weights.tensors if name != HEAD))


def prompt_seed(seed: int, index: int) -> int:
    """The seed of a prompt's first response; vLLM gives its next ones the numbers that follow."""
    return int.from_bytes(hashlib.sha256(f"{seed} {index}".encode()).digest()[:7], "big")

"""Who completes prompts for the benchmarks, or says how likely answers are: transformers or vLLM, from the same ids.

    transformers   batches of `evaluation.batch_size` prompts, the longest first
    vLLM           a process of its own that gets all prompts at once (`gift.rollout.vllm_process`)

Both stop where the model ends its answer, or after one of the task's stop texts. Left out: several GPUs for
transformers, and a vLLM server, whose answers can't be told to come from this model.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, StopStringCriteria

from gift.config import EvaluationConfig
from gift.data.tokens import pad_left, response_mask
from gift.errors import GiftError
from gift.evaluation.likelihood import Likelihood, TokenPair, checked_likelihood, likelihoods
from gift.models.generation import Generation, generate
from gift.models.loading import load_model, torch_dtype
from gift.rollout.choose import vllm_is_installed
from gift.rollout.vllm import prompt_seed
from gift.rollout.vllm_process import VllmProcess, WorkerSettings, vllm_environment

SILENCE_SECONDS = 3600.0
"""How long vLLM may take until the next of its answers is whole."""

ASKED_AT_ONCE = 4096
"""Answers whose likelihoods vLLM is asked for in one message: a benchmark may have hundreds of thousands."""


@dataclass(frozen=True)
class Decoding:
    """How prompts are completed."""

    max_new_tokens: int
    temperature: float
    """0 is greedy."""
    until: tuple[str, ...]
    """Texts that end a completion, beside the model's own ends."""
    seed: int
    """Of samples."""


class Decoder(Protocol):
    """A model that completes prompts."""

    def complete(
        self, prompts: Sequence[Sequence[int]], decoding: Decoding, done: Callable[[], None]
    ) -> list[list[int]]:
        """The completion of each prompt as token ids, its end included; `done` is called after each."""

    def likelihoods(self, pairs: Sequence[TokenPair], done: Callable[[], None]) -> list[Likelihood]:
        """How likely each continuation is after its context; `done` is called after each."""


class TransformersDecoder:
    """A `Decoder` in this process."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ends: Sequence[int], batch_size: int
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._ends = ends
        self._batch_size = batch_size

    def complete(
        self, prompts: Sequence[Sequence[int]], decoding: Decoding, done: Callable[[], None]
    ) -> list[list[int]]:
        """See `Decoder`. The longest prompts come first, so that the first batch takes the most memory."""
        torch.manual_seed(decoding.seed)
        # Of the answer alone: a text that the prompt begins and the answer completes ends none, as for vLLM.
        stop = StopStringCriteria(self._tokenizer, list(decoding.until)) if decoding.until else None
        generation = Generation(
            ends=self._ends,
            pad=self._tokenizer.pad_token_id,
            max_new_tokens=decoding.max_new_tokens,
            temperature=decoding.temperature,
            stops=partial(stop, scores=None) if stop else None,
        )
        completions: list[list[int]] = [[] for _ in prompts]
        order = sorted(range(len(prompts)), key=lambda row: (-len(prompts[row]), list(prompts[row])))
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            responses = self._batch([prompts[row] for row in rows], generation)
            mask = response_mask(responses, self._ends)
            for row, ids, real in zip(rows, responses, mask, strict=True):
                completions[row] = self._without_padding(ids[real].tolist())
                done()
        return completions

    def likelihoods(self, pairs: Sequence[TokenPair], done: Callable[[], None]) -> list[Likelihood]:
        """See `Decoder`."""
        return likelihoods(self._model, pairs, self._tokenizer.pad_token_id, self._batch_size, done)

    def _without_padding(self, ids: list[int]) -> list[int]:
        """What a stop text ended is padded until the longest of its batch ends."""
        pad = self._tokenizer.pad_token_id
        while pad not in self._ends and ids and ids[-1] == pad:
            ids.pop()
        return ids

    def _batch(self, prompts: Sequence[Sequence[int]], generation: Generation) -> Tensor:
        """Prompts that follow one another and are the same are read once."""
        same = [(list(prompt), len(list(copies))) for prompt, copies in groupby(prompts)]
        ids, mask = (part.to(self._model.device) for part in pad_left([prompt for prompt, _ in same], generation.pad))
        copies = torch.tensor([count for _, count in same], device=ids.device)
        return generate(
            self._model, ids, mask, generation, torch.arange(len(same), device=ids.device).repeat_interleave(copies)
        )


class VllmDecoder:
    """A `Decoder` in a process beside this one."""

    def __init__(self, process: VllmProcess) -> None:
        self._process = process

    def complete(
        self, prompts: Sequence[Sequence[int]], decoding: Decoding, done: Callable[[], None]
    ) -> list[list[int]]:
        """See `Decoder`. Every completion has a seed of its own; those of one prompt share what was read of it."""
        completions: list[list[int]] = [[] for _ in prompts]
        answers = self._process.complete(
            [list(prompt) for prompt in prompts],
            [prompt_seed(decoding.seed, index) for index in range(len(prompts))],
            1,
            decoding.max_new_tokens,
            temperature=decoding.temperature,
            stop=decoding.until,
        )
        for place, (completion,) in answers:
            completions[place] = list(completion.ids)
            done()
        return completions

    def likelihoods(self, pairs: Sequence[TokenPair], done: Callable[[], None]) -> list[Likelihood]:
        """See `Decoder`."""
        found: list[Likelihood] = []
        for start in range(0, len(pairs), ASKED_AT_ONCE):
            found += self._likelihoods(pairs[start : start + ASKED_AT_ONCE], done)
        return found

    def _likelihoods(self, pairs: Sequence[TokenPair], done: Callable[[], None]) -> list[Likelihood]:
        found: dict[int, Likelihood] = {}
        asked = [([*pair.context, *pair.continuation], len(pair.context)) for pair in pairs]
        for place, log_probability, greedy in self._process.likelihoods(asked):
            found[place] = checked_likelihood(log_probability, greedy)
            done()
        return [found[place] for place in range(len(pairs))]


@contextmanager
def open_decoder(
    model: Path,
    config: EvaluationConfig,
    tokenizer: PreTrainedTokenizerBase,
    ends: Sequence[int],
    device: torch.device,
    longest: int,
) -> Iterator[Decoder]:
    """The decoder that the configuration names, for a model folder; vLLM is ended at the end.

    Args:
        ends: token ids that end a completion (`gift.models.ends`).
        longest: tokens of the longest prompt and its completion together; vLLM always completes, by one token.

    Raises:
        GiftError: the model can't be loaded, or vLLM is not installed, can't be started or does not answer.
    """
    if config.engine == "transformers":
        dtype = torch_dtype(config.precision)
        yield TransformersDecoder(
            load_model(model, dtype, dtype, device).to(device), tokenizer, ends, config.batch_size
        )
        return
    if not vllm_is_installed():
        raise GiftError("evaluation.engine is vllm, which is not installed here; install vllm or choose transformers")
    gpus = [str(index) for index in range(torch.cuda.device_count())] if device.type == "cuda" else None
    settings = WorkerSettings(
        model=model,
        dtype="bfloat16" if config.precision == "bf16" else "float32",
        device="cuda" if device.type == "cuda" else "cpu",
        max_tokens=longest,
        ends=tuple(ends),
        tensor_parallel=config.vllm.tensor_parallel,
        gpu_memory_share=config.vllm.gpu_memory_share,
        cpu_cache_gib=config.vllm.cpu_cache_gib,
        reads_texts=True,
    )
    environment = vllm_environment(os.environ, threads=config.threads, gpus=gpus)
    with closing(VllmProcess(settings, environment, SILENCE_SECONDS)) as process:
        yield VllmDecoder(process)

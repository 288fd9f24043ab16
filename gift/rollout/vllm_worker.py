"""vLLM in a process of its own: `python -m gift.rollout.vllm_worker <socket> <settings>`.

It answers the requests of `gift.rollout.vllm_process`, JSON in and JSON out, one after the other, until the other side
closes the connection. An exception ends the process; the other side reads its text from the log.

On a GPU vLLM sleeps from the end of a step's sampling to the next weights, so that the trainer has the memory: level 2,
where the old weights are dropped, as new ones come before anybody samples (level 1 would copy them to the host and
back). Decoding replays CUDA graphs, which need neither inductor nor a compiler: one whole graph for a step of decoding,
no graph for prompts. Sleep and sync keep the addresses that graphs know. None of this has ever run here, where there is
no GPU.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

from vllm import LLM, SamplingParams

from gift.rollout.vllm_process import WorkerSettings
from gift.rollout.weight_sums import HeldWeight, held_weights, over_workers

PREFIX_BLOCK_TOKENS = 32
"""Prompts are shared in blocks of this many tokens on CPU, where vLLM's own default is 128: longer than many."""
TOKENS_A_STEP = 4096
"""That vLLM reads in one step on a CPU: its own default, and more where a single prompt needs it."""


class VllmWorker:
    """vLLM and its sleep."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._asleep: set[str] = set()
        self._asked = 0  # prompts so far: vLLM names requests by their number
        on_gpu = settings.device == "cuda"
        of_device: dict[str, Any] = (
            {
                "gpu_memory_utilization": settings.gpu_memory_share,
                "enable_sleep_mode": True,
                "compilation_config": {"mode": "NONE", "cudagraph_mode": "FULL_DECODE_ONLY"},
            }
            if on_gpu
            else {
                "kv_cache_memory_bytes": int(settings.cpu_cache_gib * 2**30),
                "block_size": PREFIX_BLOCK_TOKENS,
                "enforce_eager": True,
                # A prompt read in parts draws a token too many, which vLLM can't take back from a CPU's generator.
                "enable_chunked_prefill": False,
                "max_num_batched_tokens": max(TOKENS_A_STEP, settings.max_tokens),
            }
        )
        self._llm = LLM(
            str(settings.model),
            dtype=settings.dtype,
            tensor_parallel_size=settings.tensor_parallel,
            max_model_len=settings.max_tokens,
            skip_tokenizer_init=not settings.reads_texts,
            generation_config="vllm",  # none of the model's own sampling settings
            logprobs_mode="processed_logprobs",  # at the sampling temperature
            enable_prefix_caching=True,
            use_tqdm_on_load=False,
            **of_device,
        )

    def load(self, weights: str) -> Iterator[None]:
        """Replace the weights by those in a folder of safetensors files; one message when that is done."""
        self._wake("weights")
        self._llm.collective_rpc("reload_weights", kwargs={"weights_path": weights})
        yield None

    def held(self) -> Iterator[list[HeldWeight]]:
        """One message: all parameters that are in sight."""
        yield over_workers(self._llm.collective_rpc(held_weights))

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        responses: int,
        max_new_tokens: int,
        temperature: float,
        stop: Sequence[str],
    ) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """A message for each prompt, as they end: its place, and its `responses` completions as the fields of
        `gift.rollout.vllm.Completion`.
        """
        if "weights" in self._asleep:
            raise RuntimeError("the weights were dropped for the trainer; load new ones before sampling")
        self._wake("kv_cache")
        # What is cached may come from older weights, and would make a repeated call round differently.
        if not self._llm.reset_prefix_cache():
            raise RuntimeError("the prefix cache could not be reset")
        self._llm.enqueue(
            [{"prompt_token_ids": prompt} for prompt in prompts],
            [
                SamplingParams(
                    n=responses,
                    seed=seed,  # a GPU draws by the seeds of a whole batch at once, a CPU row by row
                    temperature=temperature,
                    top_p=1.0,
                    top_k=0,
                    min_p=0.0,
                    max_tokens=max_new_tokens,
                    stop_token_ids=list(self._settings.ends),
                    ignore_eos=True,  # only ours count
                    logprobs=0,  # that of the sampled token
                    flat_logprobs=True,
                    stop=list(stop),
                    detokenize=bool(stop),
                )
                for seed in seeds
            ],
            use_tqdm=False,
        )
        for place, output in self._outputs(len(prompts)):
            yield place, [_fields(one) for one in output.outputs]

    def likelihoods(self, sequences: Sequence[tuple[Sequence[int], int]]) -> Iterator[tuple[int, float, bool]]:
        """A message for each of (token ids, position), as they end: its place, the log-probability of its tokens from
        the position on, and whether each is the most probable. vLLM can't but add a token, which nobody reads.
        """
        self._llm.enqueue(
            [{"prompt_token_ids": list(ids)} for ids, _ in sequences],
            [SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False) for _ in sequences],
            use_tqdm=False,
        )
        for place, output in self._outputs(len(sequences)):
            ids, start = sequences[place]
            chosen = [at[token] for token, at in zip(ids[start:], output.prompt_logprobs[start:], strict=True)]
            yield place, sum(one.logprob for one in chosen), all(one.rank == 1 for one in chosen)

    def _outputs(self, asked: int) -> Iterator[tuple[int, Any]]:
        """(place, vLLM's output) of what was just enqueued, as they end."""
        first, self._asked = self._asked, self._asked + asked
        engine = self._llm.llm_engine
        while engine.has_unfinished_requests():
            for output in engine.step():
                if output.finished:
                    yield int(output.request_id) - first, output

    def rest(self) -> Iterator[None]:
        """Drop weights and cache, on a GPU; one message when that is done."""
        if self._settings.device == "cuda" and not self._asleep:
            self._llm.sleep(level=2)
            self._asleep = {"weights", "kv_cache"}
        yield None

    def _wake(self, *parts: str) -> None:
        asleep = self._asleep & set(parts)
        if asleep:
            self._llm.wake_up(sorted(asleep))
            self._asleep -= asleep


def _fields(output: Any) -> dict[str, Any]:
    return {"ids": list(output.token_ids), "log_probabilities": list(output.logprobs.logprobs)}


def serve(worker: VllmWorker, connection: Connection) -> None:
    """Answer requests until the connection is closed."""
    calls: dict[str, Callable[..., Iterator[Any]]] = {
        "load": worker.load,
        "held": worker.held,
        "complete": worker.complete,
        "likelihoods": worker.likelihoods,
        "rest": worker.rest,
    }
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except EOFError:
            return
        for message in calls[request.pop("call")](**request):
            connection.send_bytes(json.dumps(message).encode())


def main() -> None:
    """Start vLLM, say that it is ready, and serve."""
    connection = Connection(int(sys.argv[1]))
    worker = VllmWorker(WorkerSettings.model_validate_json(sys.argv[2]))
    connection.send_bytes(b"null")
    serve(worker, connection)


if __name__ == "__main__":
    main()

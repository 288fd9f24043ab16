"""About how long a run takes on the GPUs that its profile names, estimated before anything starts.

    configuration + architecture ──> operations and bytes of each phase ──> seconds, at assumed shares of the peaks

    warm-up, update   operations of the matrix products, at `TRAINING_SHARE` of the GPU's peak
    sampling          each step of the decoder reads the weights, and every response its keys and values, at
                      `BANDWIDTH_SHARE` of the memory's; and its operations; and a pause, as kernels are started
    evaluation        the same for four models, with vLLM as long as its cache holds, else in batches

It is the worst case: prompts and responses of full length. The shares are what such code reaches by experience, not
measured here. Imports no torch. Left out: starting pods and vLLM, transfers, scoring, and several nodes' network.
"""

import math
from collections.abc import Mapping

from gift.config import AnyBenchmark, GpuConfig, ModelShape, RunConfig, asks_base_alone, problem_set
from gift.models.architecture import parameter_count
from gift.preflight.memory import GIB, Phase, key_value_bytes

TRAINING_SHARE = 0.3
"""Of the peak rate of matrix products."""
BANDWIDTH_SHARE = 0.6
"""Of the memory's peak rate, while a decoder runs."""
VLLM_PAUSE = 0.002
"""Seconds of a step that are no arithmetic, with CUDA graphs."""
TRANSFORMERS_PAUSE = 0.001
"""The same, for each layer: kernels are started one by one."""
FORWARD, BACKWARD = 1, 2
"""Of a forward pass's operations; with adapters the backward pass needs half of its own."""
MODELS = 4
"""Base, SFT, candidate and champion are evaluated; what some benchmarks ask the base model alone is asked once."""
ENTRY_BYTES = 2
"""Of a number in a model that decodes on a GPU."""


def estimate_duration(config: RunConfig, shape: ModelShape) -> dict[Phase, float] | None:
    """Seconds of each phase, all steps together; None where the profile does not say how fast its GPUs are."""
    gpu = config.compute.gpu
    if gpu is None or gpu.teraflops is None or gpu.bandwidth_gb_per_second is None:
        return None
    rollout, rl, sft = config.rollout, config.rl, config.sft
    prompt, response = rollout.max_prompt_tokens, rollout.max_new_tokens
    again = 1 if config.compute.activation_checkpointing else 0
    passes = FORWARD + (BACKWARD / 2 if config.lora else BACKWARD) + again
    beside = sum((config.needs_reference, rl.mini_batches > 1, rollout.lag > 0))
    ranks, rate = config.compute.ranks, _operations_per_second(gpu)
    groups, size = rl.steps * rl.prompts_per_step, rollout.group_size
    warm_up = sft.steps * sft.batch_size * _operations(shape, prompt, response) * passes
    update = groups * (_operations(shape, prompt, size * response)) * (passes + beside)
    seconds: dict[Phase, float] = {"warm-up": warm_up / ranks / rate, "update": update / ranks / rate}
    if config.samples:
        batches = rl.steps if config.group_source == "on-policy" else 1
        rows = math.ceil(rl.prompts_per_step * size / ranks)
        seconds["sampling"] = batches * _decoding(config, shape, gpu, rows, prompt, response)
    seconds["evaluation"] = sum(
        (1 if asks_base_alone(one.task) else MODELS) * _benchmark(config, shape, gpu, one)
        for one in config.evaluation.benchmarks
    )
    return {phase: seconds[phase] for phase in ("warm-up", "sampling", "update", "evaluation") if seconds.get(phase)}


def total_duration(seconds: Mapping[Phase, float]) -> float:
    """Of the whole run, whose phases follow one another."""
    return sum(seconds.values())


def _operations(shape: ModelShape, prompt: int, responses: int) -> float:
    """Of the forward pass of a prompt and the responses to it; a response attends to at most all of the prompt."""
    embeddings = shape.vocabulary_size * shape.hidden_size
    body = parameter_count(shape) - embeddings * (1 if shape.tied_embeddings else 2)
    attention = 2 * shape.layers * shape.hidden_size * prompt
    return float(2 * ((body + attention) * (prompt + responses) + embeddings * responses))


def _operations_per_second(gpu: GpuConfig) -> float:
    return TRAINING_SHARE * (gpu.teraflops or 0.0) * 1e12


def _decoding(config: RunConfig, shape: ModelShape, gpu: GpuConfig, rows: int, prompt: int, response: int) -> float:
    """Seconds for `rows` responses of a rank."""
    waves, pause = 1, TRANSFORMERS_PAUSE * shape.layers
    if config.rollout.engine == "vllm":
        share = config.rollout.vllm.gpu_memory_share * config.rollout.vllm.tensor_parallel
        waves, pause = _waves(shape, gpu, rows, prompt + response, share), VLLM_PAUSE
    return _steps(shape, gpu, rows, prompt, response, waves=waves, pause=pause)


def _steps(
    shape: ModelShape, gpu: GpuConfig, rows: int, prompt: int, response: int, *, waves: int, pause: float
) -> float:
    bandwidth = BANDWIDTH_SHARE * (gpu.bandwidth_gb_per_second or 0.0) * 1e9
    weights = ENTRY_BYTES * parameter_count(shape)
    read = rows * response * key_value_bytes(shape, prompt + response // 2, ENTRY_BYTES)
    operations = rows * _operations(shape, prompt, response)
    return (
        waves * response * (weights / bandwidth + pause) + read / bandwidth + operations / _operations_per_second(gpu)
    )


def _benchmark(config: RunConfig, shape: ModelShape, gpu: GpuConfig, benchmark: AnyBenchmark) -> float:
    """Of one model; a benchmark with no limit has as many problems as the held-out ones, where they are not made."""
    fresh = problem_set(benchmark.task) == "fresh"
    most = config.evaluation.fresh.problems if fresh else config.data.heldout
    problems = min(benchmark.limit or most, most)
    rows, prompt, response = problems * benchmark.samples, config.rollout.max_prompt_tokens, benchmark.max_new_tokens
    if config.evaluation.engine == "vllm":
        share, spread = config.evaluation.vllm.gpu_memory_share, config.evaluation.vllm.tensor_parallel
        waves, pause = _waves(shape, gpu, rows, prompt + response, share * spread), VLLM_PAUSE
    else:
        waves, pause = math.ceil(rows / config.evaluation.batch_size), TRANSFORMERS_PAUSE * shape.layers
    return _steps(shape, gpu, rows, prompt, response, waves=waves, pause=pause)


def _waves(shape: ModelShape, gpu: GpuConfig, rows: int, length: int, share: float) -> int:
    """How often vLLM's cache must be filled for `rows` sequences of `length` tokens, in `share` of a GPU's memory."""
    room = share * gpu.memory_gib * GIB - ENTRY_BYTES * parameter_count(shape)
    return max(1, math.ceil(rows * key_value_bytes(shape, length, ENTRY_BYTES) / max(room, 1.0)))

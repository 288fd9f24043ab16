"""How much memory each rank of a run will need, estimated before anything is loaded.

    configuration + architecture ──> bytes per part, in each phase: warm-up, sampling, update, evaluation

Every count follows what this project's code does for models that read packed rollouts (`gift.policy`), and is the worst
case: prompts of full length, responses that fill a micro-batch, and demonstrations as long as both.

    weights, gradients, optimizer   DeepSpeed as `gift.training.engine` configures it (ZeRO, arXiv 1910.02054)
    activations                     counted tensor by tensor, as Korthikanti et al. 2022 (arXiv 2205.05198) do for GPT
    reference                       a whole copy on each rank; none beside adapters, without which the policy is it
    adapters                        of LoRA: what is trained then, beside weights that are only read
    gathered weights                ZeRO-3 while it samples: the whole policy for transformers, which runs it; for vLLM
                                    one parameter at a time, on its way there

Imports no torch. Left out: what lasts for moments only (an optimizer step's temporaries, a reward model's forward
pass) and is smaller than what it replaces; and the evaluation's prompts, which are taken to fill the context.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from gift.config import ModelReward, ModelShape, RunConfig
from gift.models.architecture import adapter_count, largest_parameter, parameter_count

GIB = 2**30
CUDA_BYTES = 3 * GIB
"""The CUDA context, NCCL's buffers and fragments of the allocator: a round number."""
PROCESS_BYTES = 0.6 * GIB
"""A Python process with torch, DeepSpeed and transformers loaded, on a CPU."""
KEPT_BYTES = 1.5
"""Of each byte of activations, on a CPU, where a process keeps what it has freed (`gift.models.host_memory`): measured
with SmolLM2-135M, whose update took 6.0 GiB and is estimated at 6.0."""
VLLM_PROCESS_BYTES = 1.3 * GIB
"""vLLM's process on a CPU, beside its weights and its cache."""
BUCKET = 500_000_000
"""Elements of DeepSpeed's gradient bucket (its default)."""
LIVE_PARAMETERS = 1_000_000_000
"""Most parameters that ZeRO-3 keeps gathered outside of generation (its default)."""
MASTER_AND_MOMENTS = 12
"""Bytes per parameter: float32 master weights and AdamW's two moments."""

Phase = Literal["warm-up", "sampling", "update", "evaluation"]
Parts = dict[str, float]
"""What takes the memory → bytes on one rank."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Of one run."""

    parameters: int
    trained: int
    """All of them, or those of adapters, which are beside them."""
    phases: dict[Phase, Parts]
    loading: float
    """Bytes of host memory per node while its ranks load the model."""

    def total(self, phase: Phase) -> float:
        """Bytes on one rank."""
        return sum(self.phases[phase].values())


def on_gpu(config: RunConfig) -> bool:
    """Whether the profile asks for GPUs."""
    return config.compute.device == "cuda" or (config.compute.device == "auto" and config.compute.gpu is not None)


def estimate_memory(
    config: RunConfig, shape: ModelShape, reward_models: Iterable[tuple[ModelReward, ModelShape]]
) -> MemoryEstimate:
    """The memory of one rank in each phase; `reward_models` are those of `config.rewards` with their architectures."""
    parameters = parameter_count(shape)
    rewards = sum(_reward_bytes(reward, reward_shape) for reward, reward_shape in reward_models)
    resident = _training_state(config, shape)
    beside = {
        "reference": _element(config) * parameters if config.needs_reference and not config.lora else 0.0,
        "reward models": rewards if config.samples else 0.0,
    }
    runtime = {"runtime": CUDA_BYTES if on_gpu(config) else PROCESS_BYTES}
    phases: dict[Phase, Parts] = {}
    if config.sft.steps:
        phases["warm-up"] = resident | _warm_up(config, shape) | runtime
    if config.samples:
        phases["sampling"] = resident | beside | _sampling(config, shape, parameters) | runtime
    phases["update"] = resident | beside | _update(config, shape, parameters) | runtime
    phases["evaluation"] = _evaluation(config, shape, parameters) | runtime
    ranks_per_node = config.compute.ranks // config.compute.nodes
    return MemoryEstimate(
        parameters,
        trained_count(config, shape),
        {phase: {part: size for part, size in parts.items() if size} for phase, parts in phases.items()},
        # Each rank its own copy, in float32 where it is trained.
        loading=float((_element(config) if config.lora else 4) * parameters * ranks_per_node),
    )


@dataclass(frozen=True)
class Packing:
    """What a micro-batch holds: prompts of `prompt` tokens, and responses of `response` to them (`gift.policy`)."""

    prompts: int
    prompt: int
    responses: int
    response: int

    @property
    def tokens(self) -> int:
        """In the row; the last token of a response is not in it."""
        return self.prompts * self.prompt + self.responses * (self.response - 1)


def fullest_packings(budget: int, groups: int, size: int, prompt: int, response: int) -> Iterator[Packing]:
    """What micro-batches of a rank's `groups` of `size` responses may hold, by how many responses there are in one.

    Each with responses as long as fit, to the next whole token: the budget counts tokens, and is filled by many short
    ones as by a few long ones. One response may exceed it.
    """
    parts = [(1, responses) for responses in range(1, size)]
    for prompts, responses in (*parts, *((whole, whole * size) for whole in range(1, groups + 1))):
        fitting = math.ceil((budget - prompts * prompt) / responses) + 1
        if responses == 1 or fitting > 1:
            yield Packing(prompts, prompt, responses, response if responses == 1 else min(response, fitting))


def activation_bytes(
    shape: ModelShape, packing: Packing, element: int, *, checkpointing: bool, gpu: bool, adapter_rank: int = 0
) -> float:
    """What the forward pass of a micro-batch keeps for the backward pass.

    Per token and layer: 7h elements and 8h bytes (the inputs of the projections, the norms, rotary embedding and
    attention, with float32 copies in the norms), 4i elements of the gated MLP, and 4 bytes a head (attention's
    log-sum-exp). Each response has a copy of its prompt's keys and values beside its own, for every query head on a
    GPU, and a mask over both. A test counts them.

    Args:
        element: bytes of a number (2 for bf16).
        checkpointing: keep each layer's input only, and one whole layer while its backward pass runs.
        adapter_rank: of LoRA, whose seven adapters a layer keep so many elements each of a token.
    """
    hidden = shape.hidden_size
    layer = float((7 * element + 8) * hidden + 4 * element * shape.intermediate_size + 4 * shape.attention_heads + 8)
    layer += 7 * element * adapter_rank
    layer *= packing.tokens
    inputs = packing.response - 1
    keys = packing.responses * (packing.prompt + inputs) + packing.prompts * packing.prompt
    heads = shape.attention_heads if gpu else shape.key_value_heads
    layer += 2 * element * heads * shape.head_size * keys
    layer += element * packing.responses * inputs * (packing.prompt + inputs)
    ends = 8 * hidden * packing.tokens  # embedding, last norm
    kept = shape.layers * element * hidden * packing.tokens + layer if checkpointing else shape.layers * layer
    return kept + ends


def logit_bytes(shape: ModelShape, element: int, *, gpu: bool, trained_head: bool = True) -> float:
    """Three copies of a block's logits, two of them float32, and the gradient of a trained head.

    See `gift.policy.head`, whose blocks these are.
    """
    block = 2**27 if gpu else 2**21
    gradient = element * shape.vocabulary_size * shape.hidden_size if trained_head else 0
    return float(block * (8 + element) + gradient)


def trained_count(config: RunConfig, shape: ModelShape) -> int:
    """The weights that a training changes: all, or those of its adapters."""
    return parameter_count(shape) if config.lora is None else adapter_count(shape, config.lora.rank)


def _training_state(config: RunConfig, shape: ModelShape) -> Parts:
    """Weights, gradients and optimizer states that stay on a rank's device through the whole job."""
    compute, element = config.compute, _element(config)
    parameters, trained = parameter_count(shape), trained_count(config, shape)
    share = trained / compute.ranks
    offloaded = compute.offload == "cpu" and on_gpu(config)
    weights = float(element * parameters)
    gradients = (0.0 if offloaded else 4.0 * share) + element * min(BUCKET, trained)
    match compute.zero_stage:
        case 1:  # whole, in float32; in bf16 also as they come from the backward pass
            gradients = (4.0 + (element if element < 4 else 0)) * trained
        case 3:
            weights = 0.0 if offloaded else element * parameters / compute.ranks
            weights += element * min(LIVE_PARAMETERS, parameters)
    if not on_gpu(config):  # and once more, flat, while an update lasts; on a GPU in the place of the activations
        gradients += 4.0 * share
    return {
        "weights": weights,
        "adapters": float(element * trained) if config.lora else 0.0,
        "gradients": gradients,
        "optimizer": 0.0 if offloaded else MASTER_AND_MOMENTS * share,
    }


def _warm_up(config: RunConfig, shape: ModelShape) -> Parts:
    rollout = config.rollout
    mine = config.sft.batch_size // config.compute.ranks
    return _forward_backward(config, shape, groups=mine, size=1, prompt=rollout.max_prompt_tokens)


def _forward_backward(config: RunConfig, shape: ModelShape, groups: int, size: int, prompt: int) -> Parts:
    compute, element, gpu = config.compute, _element(config), on_gpu(config)
    packings = fullest_packings(compute.tokens_per_micro_batch, groups, size, prompt, config.rollout.max_new_tokens)
    return {
        "activations": max(
            activation_bytes(
                shape,
                packing,
                element,
                checkpointing=compute.activation_checkpointing,
                gpu=gpu,
                adapter_rank=config.lora.rank if config.lora else 0,
            )
            for packing in packings
        )
        * (1 if gpu else KEPT_BYTES),
        # In float32, with few tokens a block's rows of the head are the whole of it.
        "logits": logit_bytes(shape, 4 if compute.fp32_head else element, gpu=gpu, trained_head=config.lora is None)
        + (4.0 * shape.vocabulary_size * shape.hidden_size if compute.fp32_head else 0.0),
    }


def _sampling(config: RunConfig, shape: ModelShape, parameters: int) -> Parts:
    rollout, element = config.rollout, _element(config)
    gathered = element * (largest_parameter(shape) if rollout.engine == "vllm" else parameters)
    if config.compute.zero_stage < 3:
        gathered = 0
    if rollout.engine == "vllm":
        return {"gathered weights": gathered, "vLLM": _vllm_bytes(config, parameters)}
    rows = config.rl.prompts_per_step // config.compute.ranks * rollout.group_size
    prefill = rows * rollout.max_prompt_tokens * (4 * shape.hidden_size + 3 * shape.intermediate_size) * element
    length = rollout.max_prompt_tokens + rollout.max_new_tokens
    return {
        "gathered weights": gathered,
        "key-value cache": key_value_bytes(shape, rows * length, element),
        "activations": float(prefill),
        "logits": 12.0 * rows * shape.vocabulary_size,
    }


def _vllm_bytes(config: RunConfig, parameters: int) -> float:
    """While it is awake; on a GPU it sleeps in the host's memory during the update, on a CPU never."""
    vllm = config.rollout.vllm
    if vllm.placement == "server":
        return 0.0
    if on_gpu(config) and config.compute.gpu:
        return vllm.gpu_memory_share * config.compute.gpu.memory_gib * GIB
    return (_element(config) * parameters + vllm.cpu_cache_gib * GIB) / vllm.tensor_parallel + VLLM_PROCESS_BYTES


def _update(config: RunConfig, shape: ModelShape, parameters: int) -> Parts:
    rl, rollout = config.rl, config.rollout
    mine = rl.prompts_per_step // config.compute.ranks // rl.mini_batches
    awake = rollout.engine == "vllm" and config.samples and not on_gpu(config)
    return {"vLLM": _vllm_bytes(config, parameters) if awake else 0.0} | _forward_backward(
        config, shape, groups=mine, size=rollout.group_size, prompt=rollout.max_prompt_tokens
    )


def _evaluation(config: RunConfig, shape: ModelShape, parameters: int) -> Parts:
    """One process, whatever `compute.ranks` says; of vLLM's on each GPU, or all of its memory on a CPU."""
    evaluation = config.evaluation
    element = 2 if evaluation.precision == "bf16" else 4
    if evaluation.engine == "vllm":
        if on_gpu(config) and config.compute.gpu:
            return {"vLLM": evaluation.vllm.gpu_memory_share * config.compute.gpu.memory_gib * GIB}
        return {"vLLM": element * parameters + evaluation.vllm.cpu_cache_gib * GIB}
    tokens = evaluation.batch_size * config.model.context_length
    return {"weights": float(element * parameters), "key-value cache": key_value_bytes(shape, tokens, element)}


def key_value_bytes(shape: ModelShape, tokens: int, element: int) -> float:
    """Keys and values of all layers."""
    return 2.0 * shape.layers * shape.key_value_heads * shape.head_size * tokens * element


def _reward_bytes(reward: ModelReward, shape: ModelShape) -> float:
    """A sequence classification model: one output in place of the head."""
    parameters = parameter_count(shape.model_copy(update={"tied_embeddings": True})) + shape.hidden_size
    return float(parameters * (2 if reward.precision == "bf16" else 4))


def _element(config: RunConfig) -> int:
    """Bytes of a number in a forward pass."""
    return 2 if config.compute.precision == "bf16" else 4

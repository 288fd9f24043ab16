"""How much memory each rank of a run will need, estimated before anything is loaded.

    configuration + architecture ──> bytes per part, in each phase: warm-up, sampling, update, evaluation

Every count follows what this project's code does, and is the worst case: prompts and responses of full length, and
demonstrations as long as both.

    weights, gradients, optimizer   DeepSpeed as `gift.training.engine` configures it (ZeRO, arXiv 1910.02054)
    activations                     counted tensor by tensor, as Korthikanti et al. 2022 (arXiv 2205.05198) do for GPT
    reference                       a whole copy on each rank
    gathered weights                ZeRO-3 while it samples: the whole policy for transformers, which runs it; for vLLM
                                    one parameter at a time, on its way there

Imports no torch. Left out: what lasts for moments only (an optimizer step's temporaries, a reward model's forward
pass) and is smaller than what it replaces; and the evaluation's prompts, which are taken to fill the context.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gift.config import ModelReward, ModelShape, RunConfig
from gift.models.architecture import largest_parameter, parameter_count

GIB = 2**30
CUDA_BYTES = 3 * GIB
"""The CUDA context, NCCL's buffers and fragments of the allocator: a round number."""
PROCESS_BYTES = 0.6 * GIB
"""A Python process with torch, DeepSpeed and transformers loaded, on a CPU."""
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
    resident = _training_state(config, parameters)
    beside = {
        "reference": _element(config) * parameters if config.needs_reference else 0.0,
        "reward models": rewards if config.samples else 0.0,
    }
    runtime = {"runtime": CUDA_BYTES if on_gpu(config) else PROCESS_BYTES}
    phases: dict[Phase, Parts] = {}
    if config.sft.steps:
        phases["warm-up"] = resident | _warm_up(config, shape) | runtime
    if config.samples:
        phases["sampling"] = resident | beside | _sampling(config, shape, parameters) | runtime
    phases["update"] = resident | beside | _update(config, shape) | runtime
    phases["evaluation"] = _evaluation(config, shape, parameters) | runtime
    ranks_per_node = config.compute.ranks // config.compute.nodes
    return MemoryEstimate(
        parameters,
        {phase: {part: size for part, size in parts.items() if size} for phase, parts in phases.items()},
        loading=4.0 * parameters * ranks_per_node,  # float32, each rank its own copy
    )


def activation_bytes(shape: ModelShape, rows: int, length: int, element: int, *, checkpointing: bool) -> float:
    """What the forward pass keeps for the backward pass, for `rows` padded sequences of `length` tokens.

    Per token and layer: 8h elements and 8h bytes (the inputs of the projections, the norms, rotary embedding and
    attention, where each query head has keys and values of its own, with float32 copies in the norms), 4i elements of
    the gated MLP, 4 bytes a head (attention's log-sum-exp) and a row of the attention mask. A test counts them.

    Args:
        element: bytes of a number (2 for bf16).
        checkpointing: keep each layer's input only, and one whole layer while its backward pass runs.
    """
    hidden = shape.hidden_size
    layer = (8 * element + 8) * hidden + 4 * element * shape.intermediate_size
    layer += 4 * shape.attention_heads + 8 + element * length
    ends = 8 * hidden  # embedding, last norm
    per_token = shape.layers * element * hidden + layer if checkpointing else shape.layers * layer
    return float(rows * length * (per_token + ends))


def logit_bytes(shape: ModelShape, rows: int, length: int, element: int) -> float:
    """Logits and their gradient, (rows, length, V) each, and three float32 copies of one row at a time."""
    return float(shape.vocabulary_size * length * (2 * rows * element + 12))


def _training_state(config: RunConfig, parameters: int) -> Parts:
    """Weights, gradients and optimizer states that stay on a rank's device through the whole job."""
    compute, element = config.compute, _element(config)
    share = parameters / compute.ranks
    offloaded = compute.offload == "cpu" and on_gpu(config)
    weights = float(element * parameters)
    gradients = (0.0 if offloaded else 4.0 * share) + element * min(BUCKET, parameters)
    match compute.zero_stage:
        case 1:  # whole, in float32; in bf16 also as they come from the backward pass
            gradients = (4.0 + (element if element < 4 else 0)) * parameters
        case 3:
            weights = (0.0 if offloaded else element * share) + element * min(LIVE_PARAMETERS, parameters)
    return {"weights": weights, "gradients": gradients, "optimizer": 0.0 if offloaded else MASTER_AND_MOMENTS * share}


def _warm_up(config: RunConfig, shape: ModelShape) -> Parts:
    rows, element = config.sft.micro_batch_size, _element(config)
    length = config.rollout.max_prompt_tokens + config.rollout.max_new_tokens
    tokens = rows * length
    return {
        "activations": activation_bytes(
            shape, rows, length, element, checkpointing=config.compute.activation_checkpointing
        ),
        # All positions, then those of the completions; both with gradient, and three float32 copies of the latter.
        "logits": float(shape.vocabulary_size * tokens * (4 * element + 12)),
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
    """While it is awake; on a GPU it sleeps in the host's memory during the update."""
    vllm = config.rollout.vllm
    if vllm.placement == "server":
        return 0.0
    if on_gpu(config) and config.compute.gpu:
        return vllm.gpu_memory_share * config.compute.gpu.memory_gib * GIB
    return (_element(config) * parameters + vllm.cpu_cache_gib * GIB) / vllm.tensor_parallel


def _update(config: RunConfig, shape: ModelShape) -> Parts:
    rows, element = config.rl.micro_batch_groups * config.rollout.group_size, _element(config)
    length = config.rollout.max_prompt_tokens + config.rollout.max_new_tokens
    return {
        "activations": activation_bytes(
            shape, rows, length, element, checkpointing=config.compute.activation_checkpointing
        ),
        "logits": logit_bytes(shape, rows, config.rollout.max_new_tokens, element),
    }


def _evaluation(config: RunConfig, shape: ModelShape, parameters: int) -> Parts:
    """One process on one device, whatever `compute.ranks` says."""
    element = 2 if config.evaluation.precision == "bf16" else 4
    tokens = config.evaluation.batch_size * config.model.context_length
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

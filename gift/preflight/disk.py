"""How much disk each stage of a run fills below `TMPDIR` (`/work` in containers), estimated before anything starts.

    configuration + architecture ──> bytes per part, for each stage; of training on several nodes, on each node

Every count follows what this project's code does, and is the worst case: a base model in float32, whatever the hub has,
and the trained weights written while the newest checkpoint is still on its way to the store.

    model             what a stage fetches or makes as a Hugging Face folder; none where there is no SFT to do
    trained weights   what a training ends with: float32 master weights
    resume            the checkpoint that it leaves every few steps, or goes on from: master weights and two moments
    rewards           reward models of the hub
    rollout weights   of vLLM, where `/dev/shm` is too small for them
    other             data, results, logs

Imports no torch. Left out: `/tmp`, which holds the libraries' caches, `/dev/shm`, and the image.
"""

import math
from collections.abc import Iterable
from typing import Literal

from gift.config import (
    ArithmeticData,
    DataConfig,
    FolderModel,
    HubModel,
    JsonLinesData,
    ModelConfig,
    ModelReward,
    ModelShape,
    RunConfig,
)
from gift.errors import GiftError
from gift.models.architecture import largest_block, model_shape, parameter_count
from gift.preflight.memory import GIB, MASTER_AND_MOMENTS, Parts, trained_count
from gift.weights.portions import PORTION_BYTES

OTHER_BYTES = 1 * GIB
"""Metrics, reports, results and logs: a round number."""
PUBLIC_DATA_BYTES = 3 * GIB
"""A public data set, mirrored and prepared: a round number above the largest."""
ROW_BYTES = 1024
"""Of a problem that is made up, with its answer: above the longest."""
FLOAT32 = 4
TRAINED_WEIGHTS = "trained weights"
TMP_GIB = 10
"""Of `/tmp` in a pod."""
LARGE_STAGES = (
    "prepare-model",
    "train-sft",
    "convert-sft",
    "train-policy",
    "convert-candidate",
    "evaluate-base",
    "evaluate-sft",
    "evaluate-candidate",
    "evaluate-champion",
)
"""Those that hold a model."""
ResourceKind = Literal["light", "model", "training"]
"""A key of `cluster`."""
StagesDisk = dict[str, Parts]
"""Stage → what fills its disk → bytes."""


def estimate_disk(
    config: RunConfig, shape: ModelShape, reward_models: Iterable[tuple[ModelReward, ModelShape]]
) -> StagesDisk:
    """The disk of the `LARGE_STAGES`; `reward_models` are those of `config.rewards` with their architectures."""
    parameters = parameter_count(shape)
    base = float(FLOAT32 * parameters)
    converted = float((2 if config.conversion.precision == "bf16" else FLOAT32) * parameters)
    start = converted if config.sft.steps else base
    # Adapters are merged into the weights that they were trained on.
    sft_template, policy_template = (base, start) if config.lora else (0.0, 0.0)
    rewards = sum(FLOAT32 * parameter_count(s) for r, s in reward_models if isinstance(r.model, HubModel))
    numbers = trained_count(config, shape)
    trained = float(FLOAT32 * numbers)
    training = {TRAINED_WEIGHTS: trained / config.compute.nodes, "rewards": float(rewards)}
    sft = training | _resume(config, numbers, config.sft.checkpoint_every)
    policy = training | _resume(config, numbers, config.rl.checkpoint_every) | _rollout(config, shape, parameters)
    stages: StagesDisk = {
        "prepare-model": {"model": base},
        "train-sft": {"model": base} | sft if config.sft.steps else {},
        "convert-sft": {"model": sft_template + converted, TRAINED_WEIGHTS: trained} if config.sft.steps else {},
        "train-policy": {"model": start} | policy,
        "convert-candidate": {"model": policy_template + converted, TRAINED_WEIGHTS: trained},
        "evaluate-base": {"model": base},
        "evaluate-sft": {"model": start},
        "evaluate-candidate": {"model": converted},
        "evaluate-champion": {"model": converted},  # as an earlier run of the profile has made it
    }
    other = {"other": other_bytes(config)}
    return {stage: {part: size for part, size in (parts | other).items() if size} for stage, parts in stages.items()}


def other_bytes(config: RunConfig) -> float:
    """What every stage has: data, results, logs."""
    return data_bytes(config.data) + OTHER_BYTES


def data_bytes(data: DataConfig) -> float:
    """The run's problems as they are read and as they are written."""
    match data:
        case ArithmeticData():
            return 2.0 * ROW_BYTES * (data.sft + data.train + data.heldout)
        case JsonLinesData():
            files = (data.train_file, data.heldout_file, data.scored_file)
            return 2.0 * sum(path.stat().st_size for path in files if path and path.is_file())
        case _:
            return float(PUBLIC_DATA_BYTES)


def store_bytes(config: RunConfig, shape: ModelShape) -> float:
    """What a run leaves in S3: data, base model, the weights of two trainings and their models, and meanwhile two
    checkpoints to go on from.
    """
    parameters = parameter_count(shape)
    converted = (2 if config.conversion.precision == "bf16" else FLOAT32) * parameters
    trained = trained_count(config, shape)
    models = FLOAT32 * parameters + 2 * (FLOAT32 * trained + converted)
    return data_bytes(config.data) + models + 2 * MASTER_AND_MOMENTS * trained


def known_shapes(config: RunConfig) -> tuple[ModelShape, list[tuple[ModelReward, ModelShape]]] | None:
    """The architectures of a run's models; None where one of them can't be known here."""
    shape = _shape(config.model)
    rewards = [(reward, _shape(reward.model)) for reward in config.rewards if isinstance(reward, ModelReward)]
    known = [(reward, reward_shape) for reward, reward_shape in rewards if reward_shape]
    return None if shape is None or len(known) < len(rewards) else (shape, known)


def work_gib(config: RunConfig, stage: str, kind: ResourceKind) -> int:
    """Whole GiB of `/work` that a pod of `stage` gets: `cluster.<kind>.work_gib`, or else the estimate.

    Raises:
        GiftError: the profile states neither that nor an architecture to estimate it from.
    """
    stated = {"light": config.cluster.light, "model": config.cluster.model, "training": config.cluster.training}[kind]
    if stated.work_gib is not None:
        return math.ceil(stated.work_gib)
    if kind == "light":
        return math.ceil(other_bytes(config) / GIB)
    shapes = known_shapes(config)
    if shapes is None:
        raise GiftError(
            f"the disk of {stage} can't be estimated: state cluster.{kind}.work_gib, or the architecture of the model "
            "and of every reward model"
        )
    return math.ceil(sum(estimate_disk(config, *shapes)[stage].values()) / GIB)


def _shape(model: ModelConfig) -> ModelShape | None:
    if isinstance(model, FolderModel) and not (model.path / "config.json").is_file():
        return None  # it is somewhere else
    return model_shape(model)


def _resume(config: RunConfig, trained: int, every: int) -> Parts:
    """On each node its own ranks', or where other ranks may have written it, all of them."""
    nodes = 1 if config.compute.elastic else config.compute.nodes
    return {"resume": MASTER_AND_MOMENTS * trained / nodes if every else 0.0}


def _rollout(config: RunConfig, shape: ModelShape, parameters: int) -> Parts:
    """A portion of the weights for vLLM goes to `TMPDIR` where `/dev/shm` has no room for it."""
    size = min(_element(config) * parameters, max(PORTION_BYTES, _element(config) * largest_block(shape)))
    beside = config.rollout.engine == "vllm" and config.rollout.vllm.placement == "beside-rank"
    fits = size < config.cluster.shared_memory_gib * GIB
    return {"rollout weights": float(size) if beside and not fits else 0.0}


def _element(config: RunConfig) -> int:
    """Bytes of a number in a forward pass."""
    return 2 if config.compute.precision == "bf16" else FLOAT32

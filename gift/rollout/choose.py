"""Opens the sampling engine that a configuration names."""

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from gift.config import RunConfig
from gift.config.surroundings import VLLM_SERVER
from gift.errors import GiftError
from gift.rollout.engine import RolloutEngine
from gift.rollout.ranks import Ranks, neighbouring_ranks
from gift.rollout.transformers import TransformersEngine
from gift.rollout.vllm import VllmEngine
from gift.rollout.vllm_process import VllmProcess, WorkerSettings, vllm_environment
from gift.rollout.vllm_server import VllmServer
from gift.rollout.weights import Weights, whole_weights


@contextmanager
def open_engine(
    config: RunConfig,
    model: Path,
    device: torch.device,
    *,
    ends: Sequence[int],
    pad: int,
    weights_of: Callable[[nn.Module], Weights] = whole_weights,
) -> Iterator[RolloutEngine]:
    """The engine of this rank; it is closed at the end, however that comes. All ranks.

    Args:
        model: folder of a model of the policy's shape; vLLM starts from it, whatever its weights.
        device: the rank's.
        ends: token ids that end a response (`gift.models.ends`).
        weights_of: how an engine with a copy of its own reads a policy whose ranks hold only parts of it.

    Raises:
        GiftError: vLLM is not installed, can't be started or does not answer.
    """
    match config.rollout.engine, config.rollout.vllm.placement:
        case "transformers", _:
            engine: RolloutEngine = TransformersEngine(config.rollout, ends=ends, pad=pad)
        case _, "beside-rank":
            engine = _engine_beside_rank(config, model, device, ends=ends, pad=pad, weights_of=weights_of)
        case _:
            engine = _engine_on_server(config, device, ends=ends, pad=pad, weights_of=weights_of)
    with closing(engine):
        yield engine


def vllm_is_installed() -> bool:
    """Without loading it."""
    return importlib.util.find_spec("vllm") is not None


def _engine_beside_rank(
    config: RunConfig,
    model: Path,
    device: torch.device,
    *,
    ends: Sequence[int],
    pad: int,
    weights_of: Callable[[nn.Module], Weights],
) -> VllmEngine:
    if not vllm_is_installed():
        raise GiftError("rollout.engine is vllm, which is not installed here; install vllm or choose transformers")
    vllm, here = config.rollout.vllm, int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if here % vllm.tensor_parallel:
        raise GiftError(
            f"rollout.vllm.tensor_parallel ({vllm.tensor_parallel}) must divide the ranks of a node ({here})"
        )
    longest = timedelta(minutes=config.rollout.timeout_minutes)
    users = neighbouring_ranks(vllm.tensor_parallel, longest)
    # The engines of one node load the same file, so that its shared memory holds the weights once.
    sharers = neighbouring_ranks(here, longest)
    process = None
    if users.leads:
        environment = vllm_environment(os.environ, threads=vllm.threads, gpus=_gpus(vllm.tensor_parallel, device))
        process = VllmProcess(_worker_settings(config, model, device, ends), environment, longest.total_seconds())
    return VllmEngine(
        process, config, device, pad=pad, users=users, loads=users.leads, sharers=sharers, weights_of=weights_of
    )


def _worker_settings(config: RunConfig, model: Path, device: torch.device, ends: Sequence[int]) -> WorkerSettings:
    rollout, vllm = config.rollout, config.rollout.vllm
    return WorkerSettings(
        model=model,
        dtype="bfloat16" if config.compute.precision == "bf16" else "float32",
        device="cuda" if device.type == "cuda" else "cpu",
        max_tokens=rollout.max_prompt_tokens + rollout.max_new_tokens,
        ends=tuple(ends),
        tensor_parallel=vllm.tensor_parallel,
        gpu_memory_share=vllm.gpu_memory_share,
        cpu_cache_gib=vllm.cpu_cache_gib,
    )


def _gpus(count: int, device: torch.device) -> list[str] | None:
    """Names of the `count` GPUs from this rank's on, or None on a CPU."""
    if device.type != "cuda":
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(index) for index in range(torch.cuda.device_count())]
    first = device.index or 0
    return names[first : first + count]


def _engine_on_server(
    config: RunConfig,
    device: torch.device,
    *,
    ends: Sequence[int],
    pad: int,
    weights_of: Callable[[nn.Module], Weights],
) -> VllmEngine:
    address = os.environ.get(VLLM_SERVER)
    if not address:
        raise GiftError(f"rollout.vllm.placement is server, but {VLLM_SERVER} does not say where it is")
    longest = timedelta(minutes=config.rollout.timeout_minutes)
    server = VllmServer(address, ends=ends, answer_seconds=longest.total_seconds())
    ranks = neighbouring_ranks(dist.get_world_size(), longest) if dist.is_initialized() else Ranks()
    return VllmEngine(
        server, config, device, pad=pad, users=Ranks(), loads=ranks.leads, sharers=ranks, weights_of=weights_of
    )

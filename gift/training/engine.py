"""The training engine: what is asked of DeepSpeed is here, in `shards` and in `checkpoint`; others hand it on.

The same calls run on CPU over gloo and on GPUs over NCCL.

One step of the schedule is one update, taken or not (`skip_update`). An update is any number of micro-batches, on
every rank the same (ZeRO's collectives run in each), for each of which

    with micro_batch(engine, last=…): forward pass; engine.backward(loss)       (`back_propagate` does it for all)

DeepSpeed sums their gradients and averages the sums over ranks; the last one takes the update.

Left out: NVMe offload, pipeline and tensor parallelism, fp16 (bf16 needs no loss scale), and building a model larger
than one rank's memory (every rank holds the whole model until `build_engine` shards it).
"""

import functools
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from deepspeed.accelerator import get_accelerator
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from gift.config import ComputeConfig, OptimizerConfig
from gift.errors import GiftError
from gift.launch.deadline import deadline, pass_by
from gift.policy.micro_batches import MicroBatch

LONGER = timedelta(minutes=5)
"""That a collective waits than the update that it is part of may take: the parent of the ranks knows who is late."""


def deepspeed_config(compute: ComputeConfig, optimizer: OptimizerConfig) -> dict[str, Any]:
    """DeepSpeed's configuration. It takes micro-batches to be one row each, and uses that for nothing."""
    zero: dict[str, Any] = {"stage": compute.zero_stage}
    if compute.offload == "cpu":
        zero["offload_optimizer"] = {"device": "cpu"}
        if compute.zero_stage == 3:
            zero["offload_param"] = {"device": "cpu"}
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,  # `micro_batch` says where an update ends
        "gradient_clipping": optimizer.gradient_clipping,
        "bf16": {"enabled": compute.precision == "bf16"},
        "data_types": {"grad_accum_dtype": "fp32"},  # summing many small bf16 gradients in bf16 loses them
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # its own CPU Adam is compiled when first used; ours is torch's AdamW
        "wall_clock_breakdown": False,
    }


def initialize_ranks(compute: ComputeConfig, sampling_minutes: float = 0.0) -> torch.device:
    """Join this rank to the others (gloo on CPU, NCCL on CUDA) and return the device it works on.

    Raises:
        GiftError: the configured device is not there, or there are fewer GPUs than ranks.
    """
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")  # DeepSpeed's calls, not ours
    torch.set_num_threads(compute.threads_per_rank)
    accelerator = get_accelerator()
    device_type, local_rank = accelerator.device_name(), int(os.environ["LOCAL_RANK"])
    if compute.device != "auto" and device_type != compute.device:
        raise GiftError(f"compute.device is {compute.device}, but DeepSpeed runs on {device_type} here")
    if device_type == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise GiftError(
                f"compute.ranks needs one GPU per rank, but this machine has {torch.cuda.device_count()}; "
                "lower compute.ranks or set compute.device to cpu"
            )
        torch.cuda.set_device(local_rank)
    _never_compile_operators()
    timeout = LONGER + timedelta(minutes=compute.timeout_minutes + sampling_minutes)
    deepspeed.init_distributed(auto_mpi_discovery=False, verbose=False, timeout=timeout)
    return torch.device(device_type, local_rank) if device_type == "cuda" else torch.device(device_type)


def build_engine(
    model: nn.Module,
    compute: ComputeConfig,
    optimizer: OptimizerConfig,
    total_steps: int,
) -> deepspeed.DeepSpeedEngine:
    """Shard `model` (the same weights on every rank, fp32 where they are trained) with AdamW and its learning-rate
    schedule. All ranks."""
    adamw = AdamW(
        _parameter_groups(model, optimizer.weight_decay),
        lr=optimizer.learning_rate,
        betas=(optimizer.beta1, optimizer.beta2),
        fused=True,  # one pass over the weights instead of ten
    )
    schedule = LambdaLR(adamw, lambda step: learning_rate_factor(optimizer, step, total_steps))
    engine, *_ = deepspeed.initialize(
        model=model,
        optimizer=adamw,
        lr_scheduler=schedule,
        config=deepspeed_config(compute, optimizer),
    )
    return engine


def learning_rate_factor(optimizer: OptimizerConfig, step: int, total_steps: int) -> float:
    """The share of the peak learning rate that update `step` (from 0) uses.

    It rises linearly over `warmup_steps` updates, the last of them at the peak, then falls to `final_fraction`, which
    is reached after the last update.
    """
    if step < optimizer.warmup_steps:
        return (step + 1) / optimizer.warmup_steps
    progress = min(1.0, (step - optimizer.warmup_steps) / max(1, total_steps - optimizer.warmup_steps))
    match optimizer.schedule:
        case "constant":
            remaining = 1.0
        case "linear":
            remaining = 1.0 - progress
        case "cosine":
            remaining = (1.0 + math.cos(math.pi * progress)) / 2
    return optimizer.final_fraction + (1.0 - optimizer.final_fraction) * remaining


def update_deadline(compute: ComputeConfig, step: int, sampling_minutes: float = 0.0) -> AbstractContextManager[None]:
    """Around an update and what ranks find out together about it.

    Args:
        sampling_minutes: that other ranks may sample longer than this one.
    """
    minutes = compute.timeout_minutes
    hint = f"a rank hangs, or an update needs more than compute.timeout_minutes ({minutes:g})"
    return deadline(f"at the update of step {step}", 60 * (minutes + sampling_minutes), hint)


@contextmanager
def micro_batch(engine: deepspeed.DeepSpeedEngine, *, last: bool) -> Iterator[None]:
    """One forward and backward pass of an update, which is taken after the `last`. All ranks."""
    engine.set_gradient_accumulation_boundary(last)
    yield
    engine.step()


def back_propagate(
    engine: deepspeed.DeepSpeedEngine, micro_batches: Sequence[MicroBatch], loss_of: Callable[[MicroBatch], Tensor]
) -> None:
    """The gradient of all losses, and the update. All ranks, with as many micro-batches."""
    for index, rows in enumerate(micro_batches, start=1):
        with micro_batch(engine, last=index == len(micro_batches)):
            loss = loss_of(rows)
            pass_by()  # before the gradients are summed, where all wait for the slowest
            engine.backward(loss)


@contextmanager
def gathered_parameters(engine: deepspeed.DeepSpeedEngine) -> Iterator[None]:
    """Inside, every rank holds the whole model and may call `engine.module` on its own, e.g. to generate. All ranks.

    Under ZeRO-3 the parameters are gathered once and the hooks that gather them per layer rest; otherwise nothing is
    to do. The parameters must not be changed inside.
    """
    if engine.zero_optimization_partition_weights():
        with deepspeed.zero.unwrap_model_for_generation(engine):
            yield
    else:
        yield


def guard_updates(engine: deepspeed.DeepSpeedEngine, refuses: Callable[[float], bool]) -> None:
    """From now on updates whose gradient norm is refused are left out: weights and optimizer stay as they are."""
    sharded = engine.optimizer
    adamw = sharded.optimizer
    take = adamw.step

    @functools.wraps(take)
    def take_unless_refused() -> None:  # once per group of parameters, after the norm over all of them is known
        if not refuses(float(sharded._global_grad_norm)):
            take()

    adamw.step = take_unless_refused


def end_update(engine: deepspeed.DeepSpeedEngine) -> float:
    """To be called after the last micro-batch of an update; the norm of its gradient, as `gradient_norm`."""
    if engine.optimizer.overflow:  # not finite: DeepSpeed left it out itself, and the schedule with it
        skip_update(engine)
        engine.optimizer.overflow = False
    return gradient_norm(engine)


def largest_weight(engine: deepspeed.DeepSpeedEngine) -> float:
    """The largest absolute value of all weights; inf where one is not finite. All ranks."""
    parts = (_own_part(parameter) for parameter in engine.module.parameters())
    ends = [torch.stack(torch.aminmax(part)) for part in parts if part.numel()]  # a fifth of the time of a norm
    largest = torch.stack(ends).abs().max().float()
    largest = largest.nan_to_num(nan=torch.inf, posinf=torch.inf)  # a maximum over ranks may lose NaN
    dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return float(largest)


def _own_part(parameter: Any) -> Tensor:
    """What this rank holds of it; under ZeRO-3 without what fills up the last part, which nobody has written."""
    if not hasattr(parameter, "ds_tensor"):
        data: Tensor = parameter.data
        return data
    part: Tensor = parameter.ds_tensor
    real = parameter.ds_numel - part.numel() * dist.get_rank()
    return part.view(-1)[: max(0, real)]


def skip_update(engine: deepspeed.DeepSpeedEngine) -> None:
    """Count an update that is not taken: the learning rate moves on, and all else stays as it is, to the last bit.

    The schedule is one of batches, so that a run of `steps` batches ends at its end, whatever the batches held.
    """
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # torch expects an update before each move
        engine.lr_scheduler.step()


def move_schedule(engine: deepspeed.DeepSpeedEngine, updates: int) -> None:
    """Bring the learning rate to where it is after so many updates."""
    engine.lr_scheduler.last_epoch = updates - 1
    skip_update(engine)


def gradient_norm(engine: deepspeed.DeepSpeedEngine) -> float:
    """The 2-norm of the whole gradient in the last update, before clipping."""
    return float(engine.get_global_grad_norm())


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices only; norms and biases are scales and offsets that have no reason to shrink."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]  # adapters are matrices


def _never_compile_operators() -> None:
    """DeepSpeed compiles a shared-memory all-reduce for CPU ranks when it starts, and fails without a C++ compiler.

    Only its inference engine uses that operator. This is the table in which it looks up what may be compiled.
    """
    deepspeed.ops.__compatible_ops__ = {}

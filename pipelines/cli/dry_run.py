"""`gift run --dry-run`: what a run would need and do, without doing any of it.

    configuration ──> inputs on this machine are checked ──> estimates of memory and disk ──> one page, and a verdict

Starts nothing, writes nothing and looks nothing up outside of this machine. Left out: money.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from gift.config import HubModel, JsonLinesData, ModelConfig, ModelReward, ModelShape, RunConfig, data_folder
from gift.data.prepare import public_data
from gift.data.public import local_file
from gift.data.snapshots import local_splits, snapshot_address, snapshots_of
from gift.errors import GiftError
from gift.gate.power import sensitivity_lines
from gift.models.architecture import model_shape
from gift.preflight.disk import StagesDisk, estimate_disk
from gift.preflight.duration import BANDWIDTH_SHARE, TRAINING_SHARE, estimate_duration, total_duration
from gift.preflight.inputs import check_disks, check_inputs, disk_needs
from gift.preflight.memory import GIB, MemoryEstimate, Phase, estimate_memory, on_gpu
from pipelines.cli.session import escape

REMEDIES = {
    "weights": "raise compute.ranks or compute.zero_stage",
    "adapters": "lower lora.rank",
    "gradients": "raise compute.zero_stage to 2 or 3",
    "optimizer": "raise compute.ranks, set compute.offload to cpu, or train adapters (lora)",
    "reference": "take an objective that needs none (gift.reference: rollout), or larger GPUs",
    "reward models": "take a smaller reward model, or bf16 for it",
    "gathered weights": "set compute.zero_stage to 2, or take larger GPUs",
    "vLLM": "lower rollout.vllm.gpu_memory_share, or set rollout.vllm.placement to server",
    "key-value cache": "set rollout.engine to vllm, or lower rl.prompts_per_step or evaluation.batch_size",
    "activations": "set compute.activation_checkpointing, or lower compute.tokens_per_micro_batch",
    "logits": "take larger GPUs",
    "runtime": "take larger GPUs",
}


@dataclass(frozen=True)
class Capacity:
    """What the estimate is compared with."""

    gib: float
    """Of one device."""
    device: str
    ranks: int
    """Training ranks that share the device."""


def dry_run(config: RunConfig, console: Console) -> bool:
    """Print the page; returns whether the run fits.

    Raises:
        GiftError: an input that should be on this machine is missing, or the memory can't be estimated.
    """
    check_inputs(config)
    shape = _shape(config.model, "model")
    reward_models = [
        (reward, _shape(reward.model, f"reward {reward.name}: model"))
        for reward in config.rewards
        if isinstance(reward, ModelReward)
    ]
    estimate, capacity = estimate_memory(config, shape, reward_models), _capacity(config)
    console.print(f"[bold]{escape(config.description)}[/bold]", soft_wrap=True)
    facts = (
        *_inputs(config),
        *(("gate", line) for line in sensitivity_lines(config)),
        *_work(config),
        *_machines(config, estimate, capacity),
        *_duration(config, shape),
    )
    for name, value in facts:
        console.print(f"[bold]{name:<12}[/bold]{escape(value)}", soft_wrap=True, highlight=False)
    console.print()
    console.print(_memory_table(estimate, capacity))
    disk = estimate_disk(config, shape, reward_models)
    console.print(_disk_table(config, disk))
    verdicts = [_verdict(estimate, capacity), *_disk_verdict(config)]
    for fits, verdict in verdicts:
        console.print(f"[bold {'green' if fits else 'red'}]{verdict}[/]", soft_wrap=True, highlight=False)
    return all(fits for fits, _ in verdicts)


def _shape(config: ModelConfig, key: str) -> ModelShape:
    shape = model_shape(config)
    if shape is None:
        raise GiftError(f"the memory can't be estimated: state {key}.architecture, or use a model of the Llama family")
    return shape


def _capacity(config: RunConfig) -> Capacity:
    if not on_gpu(config):
        return Capacity(psutil.virtual_memory().total / GIB, "this machine's memory", config.compute.ranks)
    if config.compute.gpu is None:
        raise GiftError(
            "the memory can't be compared: compute.gpu must say which GPUs (name, memory_gib) are asked for"
        )
    return Capacity(config.compute.gpu.memory_gib, config.compute.gpu.name, 1)


def _inputs(config: RunConfig) -> Iterator[tuple[str, str]]:
    yield "model", _source_of(config.model)
    if isinstance(config.data, JsonLinesData):
        for path in (config.data.train_file, config.data.heldout_file, config.data.scored_file):
            if path:
                yield "data", f"{path}: found"
    for data in public_data(config):
        found = local_file(data, data_folder(config.data))
        yield "data", f"{found}: found" if found else f"asked for at run time: {data.address} ({data.split})"
    for task, snapshot in snapshots_of(config).items():
        copies = ", ".join(map(str, local_splits(task, data_folder(config.data)).values()))
        yield "data", f"{copies}: found" if copies else f"asked for at run time: {snapshot_address(snapshot)}"
    for reward in config.rewards:
        yield "reward", _source_of(reward.model) if isinstance(reward, ModelReward) else reward.name
    yield "benchmarks", ", ".join(benchmark.task for benchmark in config.evaluation.benchmarks)


def _source_of(model: ModelConfig) -> str:
    if isinstance(model, HubModel):
        return f"asked for at run time: {model.name}@{model.revision}"
    return " ".join(f"{key}: {getattr(model, key)}" for key in ("source", "package", "path") if hasattr(model, key))


def _work(config: RunConfig) -> Iterator[tuple[str, str]]:
    rl, size = config.rl, config.rollout.group_size
    groups, updates = rl.steps * rl.prompts_per_step, rl.steps * rl.mini_batches
    longest = config.rollout.max_prompt_tokens + config.rollout.max_new_tokens
    if config.sft.steps:
        sequences = config.sft.steps * config.sft.batch_size
        yield "warm-up", f"{config.sft.steps:,} updates of {config.sft.batch_size:,} sequences ({sequences:,})"
    yield "objective", f"{config.algorithm}, groups: {config.group_source}, rollouts: {config.rollout.engine}"
    yield "batch", f"{rl.prompts_per_step:,} prompts x {size} responses = {rl.prompts_per_step * size:,} responses"
    yield "update", f"{rl.prompts_per_step * size // rl.mini_batches:,} responses, {updates:,} updates"
    yield "rollouts", f"{groups * size:,} responses in {rl.steps:,} batches, at most {groups * size * longest:,} tokens"


def _machines(config: RunConfig, estimate: MemoryEstimate, capacity: Capacity) -> Iterator[tuple[str, str]]:
    compute = config.compute
    if on_gpu(config):
        yield "GPUs", f"{compute.ranks} x {capacity.device}, {compute.nodes} node(s), ZeRO-{compute.zero_stage}"
    else:
        yield "ranks", f"{compute.ranks} on the CPU, ZeRO-{compute.zero_stage}"
    trained = f", and {estimate.trained:,} of adapters, which are trained" if config.lora else ""
    yield "parameters", f"{estimate.parameters:,}{trained}"
    yield "host memory", f"{estimate.loading / GIB:.1f} GiB per node while its ranks load the model"
    yield "cluster", _at_once(config)


def _duration(config: RunConfig, shape: ModelShape) -> Iterator[tuple[str, str]]:
    seconds = estimate_duration(config, shape)
    if seconds is None:
        return
    phases = ", ".join(f"{phase} {_hours(value)}" for phase, value in seconds.items())
    yield "time", f"at most about {_hours(total_duration(seconds))} h ({phases}), with responses of full length"
    shares = f"{TRAINING_SHARE:.0%} of the GPU's operations and {BANDWIDTH_SHARE:.0%} of its memory's bandwidth"
    yield "", f"taken for granted, not measured: {shares}; pods, vLLM's start and transfers are not in it"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f}"


def _at_once(config: RunConfig) -> str:
    """What a run on Kubernetes holds while it trains."""
    compute, cluster, beside = config.compute, config.cluster, config.evaluates_beside_training
    pods = [cluster.training] * compute.nodes + [cluster.light] * (compute.nodes > 1) + [cluster.model] * beside
    gpus = f", {compute.ranks + beside * config.evaluation.gpus} GPUs" if compute.gpu else ""
    amounts = f"{sum(pod.cpu for pod in pods):g} CPUs, {sum(pod.memory_gib for pod in pods):g} GiB{gpus}"
    return f"base and SFT are evaluated {'beside' if beside else 'after'} the training, which needs {amounts}"


def _memory_table(estimate: MemoryEstimate, capacity: Capacity) -> Table:
    per = "GPU" if capacity.ranks == 1 else "rank"
    table = Table(title=f"GiB per {per}", title_justify="left", title_style="bold")
    table.add_column("")
    for phase in estimate.phases:
        table.add_column(phase, justify="right")
    parts = dict.fromkeys(part for parts in estimate.phases.values() for part in parts)
    for part in parts:
        table.add_row(part, *(_gib(sizes.get(part)) for sizes in estimate.phases.values()))
    table.add_section()
    table.add_row("total", *(_gib(estimate.total(phase)) for phase in estimate.phases), style="bold")
    return table


def _disk_table(config: RunConfig, disk: StagesDisk) -> Table:
    nodes = ", of training on each node" if config.compute.nodes > 1 else ""
    table = Table(title=f"GiB of disk per stage{nodes}", title_justify="left", title_style="bold")
    table.add_column("", no_wrap=True)
    columns = list(dict.fromkeys(part for parts in disk.values() for part in parts))
    for part in (*columns, "total"):
        table.add_column(part, justify="right", style="bold" if part == "total" else None)
    for stage, parts in disk.items():
        table.add_row(stage, *(_gib(parts.get(part)) for part in columns), _gib(sum(parts.values())))
    return table


def _disk_verdict(config: RunConfig) -> Iterator[tuple[bool, str]]:
    """Whether this machine's disks hold a run without GPUs, which may take place here; silent where they do."""
    if on_gpu(config) or config.compute.nodes > 1:
        return
    try:
        check_disks(disk_needs(config, Path(tempfile.gettempdir()), Path(".gift")))
    except GiftError as error:
        yield False, f"DOES NOT FIT: {error}"


def _gib(size: float | None) -> str:
    return "" if size is None else f"{size / GIB:.2f}"


def _verdict(estimate: MemoryEstimate, capacity: Capacity) -> tuple[bool, str]:
    def needed(phase: Phase) -> float:
        return estimate.total(phase) / GIB * (1 if phase == "evaluation" else capacity.ranks)

    phase = max(estimate.phases, key=needed)
    fits = needed(phase) <= capacity.gib
    size = f"the {phase} phase needs {needed(phase):.2f} of {capacity.gib:.1f} GiB ({capacity.device})"
    if fits:
        spare = capacity.gib - needed(phase)
        return True, f"FITS: {size}, and leaves {spare:.2f} GiB ({spare / capacity.gib:.0%})"
    parts = estimate.phases[phase]
    largest = max(parts, key=lambda part: parts[part])
    return False, (
        f"DOES NOT FIT: {size}; the largest part is {largest} ({_gib(parts[largest])} GiB per rank): "
        f"{REMEDIES[largest]}"
    )

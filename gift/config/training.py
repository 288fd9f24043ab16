"""How SFT and reinforcement learning are run: compute, optimizer, batches."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from gift.config.section import (
    MOST_TOGETHER,
    Count,
    Minutes,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Section,
    Share,
)

Device = Literal["auto", "cpu", "cuda"]


def _whole_number(value: Any) -> Any:
    if type(value) is not int:  # true and 1.0 equal 1, which is all that a Literal asks
        raise ValueError(f"must be a whole number, got {value!r}")
    return value


class GpuConfig(Section):
    """The kind of GPU of every rank."""

    name: str
    memory_gib: PositiveFloat
    teraflops: PositiveFloat | None = None
    """Peak of dense matrix products in `compute.precision`, 10¹² operations a second; with the next one, a dry run
    estimates how long the run takes."""
    bandwidth_gb_per_second: PositiveFloat | None = None
    """Peak of its memory, 10⁹ bytes a second."""


class Spread(Section):
    """How one training job is cut into pieces. Decides memory, speed, how sums are rounded, and which rank samples for
    which prompt; not what is trained.
    """

    nodes: PositiveInt = 1
    ranks: PositiveInt = 2
    """Over all nodes; on GPUs, one rank is one GPU."""
    threads_per_rank: PositiveInt = 1
    zero_stage: Annotated[Literal[1, 2, 3], BeforeValidator(_whole_number)] = 2
    offload: Literal["none", "cpu"] = "none"
    tokens_per_micro_batch: PositiveInt = 4096
    """Tokens that one forward and backward pass of a rank takes, a group's prompt counted once; at least a prompt and a
    response of full length. Groups may be larger. Decides memory and speed only."""

    @model_validator(mode="after")
    def ranks_fill_nodes(self) -> Self:
        if self.ranks % self.nodes:
            raise ValueError(f"ranks ({self.ranks}) must be a multiple of nodes ({self.nodes})")
        return self


class ComputeConfig(Spread):
    """DeepSpeed ranks, ZeRO, devices and number format."""

    device: Device = "auto"
    """Of all stages that compute with a model; auto takes a GPU where there is one."""
    precision: Literal["fp32", "bf16"] = "fp32"
    activation_checkpointing: bool = False
    """Keep only each layer's input for the backward pass and compute the rest again."""
    fp32_head: bool = False
    """Compute the logits of policy and reference in float32, where the rest is bf16; costs time on the vocabulary."""
    elastic: bool = False
    """A training that was interrupted may go on with another number of ranks or nodes, or otherwise spread: how it is
    spread counts as nothing that decides its output, which is reused whatever ranks have made it."""
    gpu: GpuConfig | None = None
    """The GPUs that the profile asks for; a dry run compares its estimate of memory with them."""
    timeout_minutes: Minutes = 30.0
    """For one update, in which ranks wait for each other; a rank that lets them wait longer is named, and all end."""

    @property
    def spread(self) -> Spread:
        """That part of it."""
        return Spread(**self.model_dump(include=set(Spread.model_fields)))

    @property
    def undecided(self) -> set[str]:
        """The fields that decide nothing of what a training makes, and may change when it goes on: the GPUs that a dry
        run compares with, how long ranks wait and, where it is elastic, how it is spread."""
        return {"gpu", "timeout_minutes"} | (set(Spread.model_fields) if self.elastic else set())


class LoraConfig(Section):
    """LoRA (arXiv 2106.09685): adapters on every linear layer are trained, and the model's own weights stay frozen."""

    rank: PositiveInt = 32
    alpha: PositiveInt = 32
    """An adapter's product is multiplied by alpha / rank."""


class OptimizerConfig(Section):
    """AdamW and its schedule; the learning rate decays to `final_fraction` of its peak after a linear warm-up."""

    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat = 0.0
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.95
    gradient_clipping: PositiveFloat = 1.0
    warmup_steps: Count = 0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    final_fraction: Share = 0.1


class SftConfig(Section):
    """Supervised warm-up on the demonstrations; `batch_size` counts sequences over all ranks, 0 steps skip it."""

    steps: Count
    batch_size: PositiveInt
    checkpoint_every: Count = 100
    """Steps between two checkpoints to go on from after an interruption; 0 for none, and to begin anew. Decides nothing
    else."""
    optimizer: OptimizerConfig


class RlConfig(Section):
    """Training on groups of scored responses: `prompts_per_step` groups are one batch."""

    steps: PositiveInt
    """Batches."""
    prompts_per_step: Annotated[int, Field(gt=0, le=MOST_TOGETHER)]
    mini_batches: PositiveInt = 1
    """Updates per batch, each on its own part of it."""
    groups: Literal["on-policy", "sft-policy", "dataset"] | None = None
    """Who wrote the responses: the current policy, the SFT model before the first step, or the data's `scored_file`.
    None means sft-policy for DPO and on-policy for the others."""
    heldout_every: Count = 0
    """Steps between two looks at held-out problems (one sampled response each); 0 for none."""
    heldout_problems: PositiveInt = 64
    checkpoint_every: Count = 20
    """Like `sft.checkpoint_every`, in batches, which take longer."""
    optimizer: OptimizerConfig

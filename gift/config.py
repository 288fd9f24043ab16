"""The typed configuration of a run: one schema, and `profiles/*.yaml` are its instances.

Everything a run does is decided here, before anything starts. Unknown keys, wrong types and values out of range are
refused with one line that names the key and what is allowed. This module imports neither torch nor kfp, because the
command line, the pipelines and every container read it.

Left out on purpose: credentials and service addresses. They come from the environment (`AWS_*`, `MLFLOW_TRACKING_URI`),
so that a configuration can be logged, hashed and published as it is.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gift.errors import GiftError

PROFILES = Path(__file__).resolve().parent.parent / "profiles"

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
"""A name that MLflow takes for an experiment or a registered model, and that needs no quoting anywhere."""
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
"""A whole git commit of the hub, so that a branch that moves can't change a run."""
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the configuration: immutable, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


# --- where the base model comes from -----------------------------------------------------------------------------


class ScratchModel(Section):
    """A small Llama with random weights and a byte-level BPE tokenizer trained on the demonstrations."""

    source: Literal["scratch"]
    hidden_size: PositiveInt = 128
    intermediate_size: PositiveInt = 512
    layers: PositiveInt = 3
    attention_heads: PositiveInt = 4
    initializer_range: PositiveFloat = 0.02
    vocabulary_size: Annotated[int, Field(ge=300)] = 512
    context_length: PositiveInt = 256

    @model_validator(mode="after")
    def heads_divide_hidden_size(self) -> Self:
        if self.hidden_size % self.attention_heads:
            raise ValueError(f"attention_heads must divide hidden_size ({self.hidden_size})")
        return self


class PackageModel(Section):
    """A GGUF file inside an installed Python package, de-quantised when the run prepares its model."""

    source: Literal["package"]
    package: str
    file: str
    context_length: PositiveInt = 2048


class HubModel(Section):
    """A model of the Hugging Face hub, pinned to a commit."""

    source: Literal["hub"]
    name: str
    revision: Commit
    context_length: PositiveInt = 4096


class FolderModel(Section):
    """A folder with safetensors, config.json and a tokenizer."""

    source: Literal["folder"]
    path: Path
    context_length: PositiveInt = 4096


ModelConfig = Annotated[ScratchModel | PackageModel | HubModel | FolderModel, Field(discriminator="source")]


# --- where prompts, demonstrations and benchmark problems come from ------------------------------------------------


class ArithmeticData(Section):
    """Procedural grade-school word problems; the demonstrations are as careless as the two rates say."""

    source: Literal["arithmetic"]
    sft: PositiveInt = 20_000
    train: PositiveInt = 4_000
    heldout: PositiveInt = 500
    slip_rate: Share = 0.02
    early_stop_rate: Share = 0.4


class Gsm8kData(Section):
    """GSM8K from a local folder (`folder`, or the environment's `GIFT_DATA_DIR`), or else from the hub."""

    source: Literal["gsm8k"]
    folder: Path | None = None
    hub_name: str = "openai/gsm8k"
    hub_revision: Commit = "e53f048856ff4f594e959d75785d2c2d37b678ee"
    sft: PositiveInt = 7_473
    train: PositiveInt = 7_473
    heldout: PositiveInt = 1_319

    @property
    def local_folder(self) -> Path | None:
        """The folder to read, or None when the hub is to be asked."""
        from_environment = os.environ.get("GIFT_DATA_DIR")
        return self.folder or (Path(from_environment) if from_environment else None)


class JsonLinesData(Section):
    """Your own problems: JSON Lines files with a `question` and an `answer` that ends in `#### <final answer>`."""

    source: Literal["jsonl"]
    train_file: Path
    heldout_file: Path
    sft: PositiveInt = 1_000_000
    train: PositiveInt = 1_000_000
    heldout: PositiveInt = 1_000_000


DataConfig = Annotated[ArithmeticData | Gsm8kData | JsonLinesData, Field(discriminator="source")]


# --- training ------------------------------------------------------------------------------------------------------


class ComputeConfig(Section):
    """How one training job is spread: DeepSpeed ranks, ZeRO and number format."""

    ranks: PositiveInt = 2
    threads_per_rank: PositiveInt = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    zero_stage: Literal[1, 2, 3] = 2
    offload: Literal["none", "cpu"] = "none"
    precision: Literal["fp32", "bf16"] = "fp32"


class OptimizerConfig(Section):
    """AdamW and its schedule; the learning rate decays to `final_fraction` of its peak after a linear warm-up."""

    learning_rate: PositiveFloat
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.95
    gradient_clipping: PositiveFloat = 1.0
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    final_fraction: Share = 0.1


class SftConfig(Section):
    """Supervised warm-up on the demonstrations; `batch_size` counts sequences over all ranks."""

    steps: PositiveInt
    batch_size: PositiveInt
    micro_batch_size: PositiveInt
    optimizer: OptimizerConfig


class RolloutConfig(Section):
    """Sampling of groups of responses from the current policy (top_p 1 and no top_k, so that nothing is cut)."""

    group_size: Annotated[int, Field(ge=2)] = 8
    temperature: PositiveFloat = 1.0
    max_prompt_tokens: PositiveInt
    max_new_tokens: PositiveInt


class GiftConfig(Section):
    """Choices of the GIFT objective (arXiv 2510.23868); see docs/algorithms.md for what the floor does."""

    std_floor: PositiveFloat = 3.0


class RlConfig(Section):
    """On-policy training: one update per batch of `prompts_per_step` groups, `micro_batch_groups` groups at a time."""

    steps: PositiveInt
    prompts_per_step: PositiveInt
    micro_batch_groups: PositiveInt = 1
    optimizer: OptimizerConfig


# --- after training ------------------------------------------------------------------------------------------------


class ConversionConfig(Section):
    """The exported checkpoint: Hugging Face safetensors in shards of at most `max_shard_mib`."""

    max_shard_mib: PositiveInt = 2048
    precision: Literal["fp32", "bf16"] = "fp32"


class BenchmarkConfig(Section):
    """One column of the report: an lm-eval task on the held-out problems.

    `heldout` is the task of this project (zero-shot, in the training's own prompt format); `heldout_sampled` is the
    same with `samples` draws at temperature 1 per problem, i.e. pass@1 of the sampled policy. `gsm8k` is lm-eval's own.
    """

    task: Literal["heldout", "heldout_sampled", "gsm8k"]
    limit: PositiveInt | None = None
    samples: PositiveInt = 1
    max_new_tokens: PositiveInt = 256

    @model_validator(mode="after")
    def only_sampling_repeats(self) -> Self:
        if self.samples > 1 and self.task != "heldout_sampled":
            raise ValueError("samples is only for the task heldout_sampled; the other tasks decode greedily")
        return self


class EvaluationConfig(Section):
    """What lm-eval runs on the base, the SFT and the candidate model."""

    benchmarks: Annotated[tuple[BenchmarkConfig, ...], Field(min_length=1)]
    batch_size: PositiveInt = 32
    threads: PositiveInt = 2
    precision: Literal["fp32", "bf16"] = "fp32"

    @model_validator(mode="after")
    def tasks_are_distinct(self) -> Self:
        tasks = [benchmark.task for benchmark in self.benchmarks]
        if len(set(tasks)) < len(tasks):
            raise ValueError("benchmarks must not name the same task twice")
        return self


class GateConfig(Section):
    """When a candidate becomes champion: it beats the SFT model on `benchmark` by a paired test, and is not worse
    than the reigning champion by the same test."""

    benchmark: Literal["heldout", "heldout_sampled", "gsm8k"]
    min_gain: Annotated[float, Field(ge=0, le=1)] = 0.0
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95


class StorageConfig(Section):
    """The S3 prefix that owns everything this project writes."""

    uri: Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^/]+)*$")] = "s3://gift"


class RunConfig(Section):
    """A whole run, from data to report."""

    description: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    experiment: Name = "gift"
    registered_model: Name
    storage: StorageConfig = StorageConfig()
    model: ModelConfig
    data: DataConfig
    reward: Annotated[str, Field(pattern=r"^(gsm8k|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")] = "gsm8k"
    compute: ComputeConfig = ComputeConfig()
    sft: SftConfig
    rollout: RolloutConfig
    gift: GiftConfig = GiftConfig()
    rl: RlConfig
    conversion: ConversionConfig = ConversionConfig()
    evaluation: EvaluationConfig
    gate: GateConfig

    @model_validator(mode="after")
    def batches_divide(self) -> Self:
        ranks = self.compute.ranks
        if self.sft.batch_size % (self.sft.micro_batch_size * ranks):
            raise ValueError(
                f"sft.batch_size ({self.sft.batch_size}) must be a multiple of sft.micro_batch_size x compute.ranks "
                f"({self.sft.micro_batch_size} x {ranks})"
            )
        if self.rl.prompts_per_step % (self.rl.micro_batch_groups * ranks):
            raise ValueError(
                f"rl.prompts_per_step ({self.rl.prompts_per_step}) must be a multiple of rl.micro_batch_groups x "
                f"compute.ranks ({self.rl.micro_batch_groups} x {ranks})"
            )
        return self

    @model_validator(mode="after")
    def sequences_fit(self) -> Self:
        longest = self.rollout.max_prompt_tokens + self.rollout.max_new_tokens
        if longest > self.model.context_length:
            raise ValueError(
                f"rollout.max_prompt_tokens + rollout.max_new_tokens ({longest}) must not exceed "
                f"model.context_length ({self.model.context_length})"
            )
        return self

    @model_validator(mode="after")
    def gate_reads_a_benchmark(self) -> Self:
        tasks = [benchmark.task for benchmark in self.evaluation.benchmarks]
        if self.gate.benchmark not in tasks:
            raise ValueError(f"gate.benchmark ({self.gate.benchmark}) must be one of evaluation.benchmarks: {tasks}")
        return self

    def digest(self) -> str:
        """sha256 over the canonical JSON of the whole configuration."""
        return digest_of(self)


def digest_of(*parts: Any) -> str:
    """sha256 over the canonical JSON of configuration sections and plain values."""
    plain = [part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


# --- reading -------------------------------------------------------------------------------------------------------


def profile_names() -> list[str]:
    """The names that `load_profile` takes."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def load_profile(name: str, overrides: tuple[str, ...] = ()) -> RunConfig:
    """Read `profiles/<name>.yaml` (or the YAML file at the path `name`) and apply `key.path=value` overrides in order.

    Raises:
        GiftError: the profile does not exist, is not YAML, or a value is not allowed (all are named in one line).
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else PROFILES / f"{name}.yaml"
    if not path.is_file():
        raise GiftError(f"profile {name!r} does not exist; choose one of {', '.join(profile_names())}, or a YAML file")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise GiftError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise GiftError(f"{path} must hold a mapping of configuration keys")
    for override in overrides:
        _apply_override(values, override)
    return parse_config(values, where=str(path))


def parse_config(values: Any, where: str = "configuration") -> RunConfig:
    """Validate plain values (or a JSON text) as a `RunConfig`.

    Raises:
        GiftError: with every refused key and what it allows, in one line.
    """
    try:
        return RunConfig.model_validate_json(values) if isinstance(values, str) else RunConfig.model_validate(values)
    except ValidationError as error:
        raise GiftError(f"{where}: " + "; ".join(_explain(fault) for fault in error.errors())) from None


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise GiftError(f"--set takes key=value, for example --set rl.steps=10; got {override!r}")
    *parents, last = key.split(".")
    node: Any = values
    for parent in parents:
        node = node.setdefault(parent, {}) if isinstance(node, dict) else _child_of_list(node, parent, key)
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise GiftError(f"--set {key}: {text!r} is not a YAML value") from error
    if isinstance(node, dict):
        node[last] = value
    else:
        _child_of_list(node, last, key)
        node[int(last)] = value


def _child_of_list(node: Any, index: str, key: str) -> Any:
    """`evaluation.benchmarks.0.limit` reaches into a list by position."""
    if isinstance(node, list) and index.isdigit() and int(index) < len(node):
        return node[int(index)]
    raise GiftError(f"--set {key}: {index!r} does not name anything in this profile")


def _explain(fault: Any) -> str:
    location = ".".join(str(part) for part in fault["loc"]) or "profile"
    if fault["type"] == "extra_forbidden":
        return f"{location} is not a known key"
    message = fault["msg"].removeprefix("Value error, ")
    given = "" if fault["type"] in ("missing", "value_error") else f" (got {fault['input']!r})"
    return f"{location}: {message[0].lower()}{message[1:]}{given}"

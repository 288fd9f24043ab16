"""A whole run, and what its parts must agree on."""

import hashlib
import json
import re
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from gift.config.cluster import ClusterConfig
from gift.config.data import DapoData, DataConfig, JsonLinesData, UltraFeedbackData
from gift.config.evaluation import (
    BenchmarkConfig,
    ConversionConfig,
    EvaluationConfig,
    GateConfig,
    judges_heldout_answers,
)
from gift.config.health import HealthConfig
from gift.config.models import ModelConfig
from gift.config.objectives import (
    Algorithm,
    CispoConfig,
    DapoConfig,
    DpoConfig,
    DrGrpoConfig,
    GiftConfig,
    GrpoConfig,
    GspoConfig,
    GvpoConfig,
    OaplConfig,
    UnaConfig,
    ZeroVariance,
)
from gift.config.prompt import CHAT, PromptFormat
from gift.config.rewards import Gsm8kReward, RewardConfig
from gift.config.rollout import RolloutConfig
from gift.config.section import Name, Section
from gift.config.training import ComputeConfig, LoraConfig, RlConfig, SftConfig

BUCKET = re.compile(r"[a-z0-9]+((\.|-+)[a-z0-9]+)*")
IP_ADDRESS = re.compile(r"\d+(\.\d+){3}")
PREFIX_PART = re.compile(r"(?!\.+$)[A-Za-z0-9_.-]+")
LONGEST_PREFIX = 200
"""Of the 1024 bytes of a key; and MLflow has 500 for the address of a registered model."""
LONGEST_TAG = 8000  # mlflow.utils.validation.MAX_TAG_VAL_LENGTH


class StorageConfig(Section):
    """The S3 prefix that owns everything this project writes."""

    uri: str = "s3://gift"

    @field_validator("uri")
    @classmethod
    def bucket_and_prefix_need_no_quoting(cls, uri: str) -> str:
        scheme, _, rest = uri.partition("://")
        bucket, _, prefix = rest.partition("/")
        if scheme != "s3" or rest.endswith("/"):
            raise ValueError("must be s3://bucket or s3://bucket/prefix, without a slash at its end")
        if not 3 <= len(bucket) <= 63 or not BUCKET.fullmatch(bucket) or IP_ADDRESS.fullmatch(bucket):
            raise ValueError(
                "a bucket has 3 to 63 lowercase letters, digits, hyphens and single dots, begins and ends with a "
                "letter or digit, and is no IP address"
            )
        parts = prefix.split("/") if prefix else []
        if len(prefix) > LONGEST_PREFIX or not all(PREFIX_PART.fullmatch(part) for part in parts):
            raise ValueError(
                f"a prefix has at most {LONGEST_PREFIX} characters of A-Z, a-z, 0-9, '.', '_' and '-', in parts "
                "between single slashes that are not dots alone"
            )
        return uri


class RunConfig(Section):
    """A whole run, from data to report."""

    description: Annotated[str, Field(max_length=LONGEST_TAG)]
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    experiment: Name = "gift"
    registered_model: Name
    storage: StorageConfig = StorageConfig()
    model: ModelConfig
    data: DataConfig
    prompt: str = "Question: {question}\nAnswer:"
    """What a model is asked, in training and in the held-out benchmark; `chat` is the model's own chat template."""
    system: str | None = None
    """The system message, with `prompt: chat`."""
    rewards: Annotated[tuple[RewardConfig, ...], Field(min_length=1)] = (Gsm8kReward(kind="gsm8k"),)
    compute: ComputeConfig = ComputeConfig()
    lora: LoraConfig | None = None
    """Train adapters alone, in the warm-up and after it; a training ends with a model in which they are merged."""
    sft: SftConfig
    rollout: RolloutConfig
    algorithm: Algorithm = "gift"
    gift: GiftConfig = GiftConfig()
    grpo: GrpoConfig = GrpoConfig()
    gvpo: GvpoConfig = GvpoConfig()
    dpo: DpoConfig = DpoConfig()
    una: UnaConfig = UnaConfig()
    dr_grpo: DrGrpoConfig = DrGrpoConfig()
    dapo: DapoConfig = DapoConfig()
    gspo: GspoConfig = GspoConfig()
    cispo: CispoConfig = CispoConfig()
    oapl: OaplConfig = OaplConfig()
    rl: RlConfig
    health: HealthConfig = HealthConfig()
    conversion: ConversionConfig = ConversionConfig()
    evaluation: EvaluationConfig
    gate: GateConfig
    cluster: ClusterConfig = ClusterConfig()

    @field_validator("prompt")
    @classmethod
    def prompt_asks_the_question(cls, prompt: str) -> str:
        if prompt != CHAT and prompt.count("{question}") != 1:
            raise ValueError(f"must contain {{question}} exactly once, or be {CHAT} (the model's own chat template)")
        return prompt

    @field_validator("rewards")
    @classmethod
    def reward_names_are_distinct(cls, rewards: tuple[RewardConfig, ...]) -> tuple[RewardConfig, ...]:
        names = [reward.name for reward in rewards]
        if len(set(names)) < len(names):
            raise ValueError(f"every reward needs a name of its own, got {', '.join(names)}")
        return rewards

    @field_validator("rewards")
    @classmethod
    def something_is_rewarded(cls, rewards: tuple[RewardConfig, ...]) -> tuple[RewardConfig, ...]:
        if not any(reward.weight for reward in rewards):
            raise ValueError("the weight of every reward is 0, so that nothing is rewarded; give one another weight")
        return rewards

    @model_validator(mode="after")
    def chats_have_a_template(self) -> Self:
        if self.system is not None and self.prompt != CHAT:
            raise ValueError("system is for prompt: chat; write it into the prompt")
        if self.prompt == CHAT and self.model.source == "scratch":
            raise ValueError("prompt: chat needs a model with a chat template, which one from scratch does not have")
        return self

    @model_validator(mode="after")
    def batches_divide(self) -> Self:
        ranks = self.compute.ranks
        if self.sft.batch_size % ranks:
            raise ValueError(f"sft.batch_size ({self.sft.batch_size}) must be a multiple of compute.ranks ({ranks})")
        divisor = self.rl.mini_batches * ranks
        if self.rl.prompts_per_step % divisor:
            raise ValueError(
                f"rl.prompts_per_step ({self.rl.prompts_per_step}) must be a multiple of rl.mini_batches x "
                f"compute.ranks ({self.rl.mini_batches} x {ranks})"
            )
        return self

    @model_validator(mode="after")
    def ranks_share_engines(self) -> Self:
        ranks, sharers = self.compute.ranks // self.compute.nodes, self.rollout.vllm.tensor_parallel
        if self.rollout.engine == "vllm" and ranks % sharers:
            raise ValueError(f"rollout.vllm.tensor_parallel ({sharers}) must divide the ranks of a node ({ranks})")
        return self

    @model_validator(mode="after")
    def sequences_fit(self) -> Self:
        longest = self.rollout.max_prompt_tokens + self.rollout.max_new_tokens
        if longest > self.model.context_length:
            raise ValueError(
                f"rollout.max_prompt_tokens + rollout.max_new_tokens ({longest}) must not exceed "
                f"model.context_length ({self.model.context_length})"
            )
        if self.compute.tokens_per_micro_batch < longest:
            raise ValueError(
                f"compute.tokens_per_micro_batch ({self.compute.tokens_per_micro_batch}) must hold a prompt and a "
                f"response, rollout.max_prompt_tokens + rollout.max_new_tokens ({longest})"
            )
        return self

    @model_validator(mode="after")
    def benchmark_answers_fit(self) -> Self:
        for benchmark in self.evaluation.benchmarks:
            # Of lm-eval's other tasks most write no answer, and nobody knows which before they are loaded.
            if isinstance(benchmark, BenchmarkConfig) and benchmark.max_new_tokens >= self.model.context_length:
                raise ValueError(
                    f"evaluation.benchmarks: {benchmark.task} has max_new_tokens {benchmark.max_new_tokens}, which "
                    f"must be less than model.context_length ({self.model.context_length}), as a prompt comes before"
                )
        return self

    @model_validator(mode="after")
    def gate_reads_benchmarks(self) -> Self:
        tasks = [benchmark.task for benchmark in self.evaluation.benchmarks]
        for asked in self.gate.benchmarks:
            if asked.benchmark not in tasks:
                raise ValueError(f"gate.benchmarks: {asked.benchmark} must be one of evaluation.benchmarks: {tasks}")
        return self

    @model_validator(mode="after")
    def groups_suit_the_objective(self) -> Self:
        from_rollout_policy = (
            self.algorithm in ("grpo", "dr_grpo", "dapo", "gspo", "cispo", "oapl")
            or (self.algorithm == "gift" and self.gift.reference == "rollout")
            or (self.algorithm == "gvpo" and self.gvpo.reference == "rollout")
        )
        if from_rollout_policy and self.group_source != "on-policy":
            raise ValueError(
                f"{self.algorithm} compares with the policy that sampled, so rl.groups must be on-policy "
                f"(got {self.group_source})"
            )
        if self.zero_variance == "refill" and self.group_source != "on-policy":
            raise ValueError("zero_variance: refill samples more prompts, so rl.groups must be on-policy")
        return self

    @model_validator(mode="after")
    def importance_cap_has_something_to_cap(self) -> Self:
        on_policy = self.rollout.engine == "transformers" and not self.rollout.lag
        if self.algorithm == "grpo" and self.grpo.importance_cap is not None and on_policy:
            raise ValueError(
                "grpo.importance_cap is for responses of another policy than the trainer's: it needs rollout.lag, or "
                "rollout.engine: vllm"
            )
        return self

    @model_validator(mode="after")
    def lagging_batches_are_kept(self) -> Self:
        lag = self.rollout.lag
        if lag and self.group_source != "on-policy":
            raise ValueError(
                f"rollout.lag ({lag}) is for groups that the policy samples while it trains, so rl.groups must be "
                f"on-policy (got {self.group_source})"
            )
        if lag and self.rl.checkpoint_every:
            raise ValueError(
                f"rollout.lag ({lag}) keeps batches that no checkpoint holds: set rl.checkpoint_every to 0 (got "
                f"{self.rl.checkpoint_every})"
            )
        return self

    @model_validator(mode="after")
    def data_has_what_is_asked_of_it(self) -> Self:
        scored = isinstance(self.data, UltraFeedbackData) or (
            isinstance(self.data, JsonLinesData) and self.data.scored_file is not None
        )
        if self.group_source == "dataset" and not scored:
            raise ValueError("rl.groups: dataset needs scored responses: data.scored_file, or source: ultrafeedback")
        if self.sft.steps and isinstance(self.data, DapoData) and not self.data.sft:
            raise ValueError("data: DAPO has no worked answers; set sft.steps to 0, or data.sft to take some from MATH")
        if isinstance(self.data, UltraFeedbackData):
            verifiers = [reward.kind for reward in self.rewards if reward.kind in ("gsm8k", "math")]
            heldout = [b.task for b in self.evaluation.benchmarks if judges_heldout_answers(b.task)]
            if verifiers or heldout:
                raise ValueError(f"data: UltraFeedback has no final answers for {', '.join([*verifiers, *heldout])}")
        return self

    @model_validator(mode="after")
    def scored_responses_are_used(self) -> Self:
        scored_file = self.data.scored_file if isinstance(self.data, JsonLinesData) else None
        if scored_file is not None and self.group_source != "dataset":
            raise ValueError(
                f"data.scored_file ({scored_file}) is for rl.groups: dataset, and {self.algorithm} would take its "
                f"groups {self.group_source}; set rl.groups, or leave the file out"
            )
        return self

    @model_validator(mode="after")
    def sick_trainings_have_checkpoints(self) -> Self:
        trained = {"sft": self.sft.checkpoint_every or not self.sft.steps, "rl": self.rl.checkpoint_every}
        without = [f"{section}.checkpoint_every" for section, leaves_some in trained.items() if not leaves_some]
        if self.health.sick_update == "rewind" and without:
            raise ValueError(f"health.sick_update: rewind goes back to checkpoints, and {without[0]} is 0; set it")
        return self

    @model_validator(mode="after")
    def queue_is_used(self) -> Self:
        if self.cluster.queue is not None and self.compute.nodes == 1:
            raise ValueError(
                f"cluster.queue ({self.cluster.queue}) is for a training on several nodes, and compute.nodes is 1; "
                "leave it out"
            )
        return self

    @model_validator(mode="after")
    def server_is_used(self) -> Self:
        named = [key for key in ("vllm_secret", "vllm_weights_claim") if getattr(self.cluster, key)]
        if named and not self.samples_on_server:
            raise ValueError(f"cluster.{named[0]} is for a run that samples with rollout.vllm.placement: server")
        return self

    @property
    def prompt_format(self) -> PromptFormat:
        """`prompt` and `system` together."""
        return PromptFormat(template=self.prompt, system=self.system)

    @property
    def samples_on_server(self) -> bool:
        """Whether training asks a vLLM server: responses of a data set need none, but looks at held-out problems do."""
        samples = self.group_source != "dataset" or self.rl.heldout_every > 0
        return samples and self.rollout.engine == "vllm" and self.rollout.vllm.placement == "server"

    @property
    def evaluates_beside_training(self) -> bool:
        """`cluster.evaluate_beside_training`, or what is right without a word about it."""
        stated = self.cluster.evaluate_beside_training
        return self.compute.gpu is None if stated is None else stated

    @property
    def group_source(self) -> str:
        """`rl.groups`, or the algorithm's usual one."""
        return self.rl.groups or ("sft-policy" if self.algorithm == "dpo" else "on-policy")

    @property
    def samples(self) -> bool:
        """Whether training samples responses at all, and so needs a rollout engine and the rewards."""
        return self.group_source == "sft-policy" or self.samples_while_training

    @property
    def samples_while_training(self) -> bool:
        """Whether it does so between updates: for fresh groups, or for looks at held-out problems."""
        return self.group_source == "on-policy" or self.rl.heldout_every > 0

    @property
    def needs_reference(self) -> bool:
        """Whether the chosen algorithm compares with the SFT model, which then stays in memory beside the policy."""
        match self.algorithm:
            case "gift":
                return self.gift.reference == "sft"
            case "grpo":
                return self.grpo.kl_coefficient > 0
            case "gvpo":
                return self.gvpo.reference == "sft"
            case "dpo" | "una":
                return True
            case "dr_grpo":
                return self.dr_grpo.kl_coefficient > 0
            case "gspo":
                return self.gspo.kl_coefficient > 0
            case "dapo" | "cispo" | "oapl":
                return False

    @property
    def zero_variance(self) -> ZeroVariance:
        """What the chosen algorithm does with groups whose rewards are all equal."""
        match self.algorithm:
            case "gift":
                return self.gift.zero_variance
            case "grpo":
                return self.grpo.zero_variance
            case "gvpo":
                return self.gvpo.zero_variance
            case "dpo":
                return "drop"  # no pair to compare
            case "una":
                return "keep"  # each response is compared with its own score
            case "dr_grpo":
                return self.dr_grpo.zero_variance
            case "dapo":
                return self.dapo.zero_variance
            case "gspo":
                return self.gspo.zero_variance
            case "cispo":
                return self.cispo.zero_variance
            case "oapl":
                return self.oapl.zero_variance

    def digest(self) -> str:
        """sha256 over the canonical JSON of the whole configuration."""
        return digest_of(self)


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """`{"rl": {"steps": 5}}` → `{"rl.steps": 5}`; the items of a list are numbered, sections are taken apart."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if not isinstance(value, (dict, list, tuple)):
        return {prefix: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    flat: dict[str, Any] = {}
    for key, child in items:
        flat |= flatten(child, f"{prefix}.{key}" if prefix else str(key))
    return flat


def digest_of(*parts: Any) -> str:
    """sha256 over the canonical JSON of configuration sections and plain values."""
    plain = [part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

"""What happens to a trained model: conversion, benchmarks, gate."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from gift.config.models import HubName
from gift.config.rewards import AnswerFormat
from gift.config.section import Commit, Count, Gib, Name, PositiveInt, Section, SeveralProblems, Share, SomeShare
from gift.config.yaml_text import read_yaml

BenchmarkTask = Literal[
    "heldout",
    "heldout_sampled",
    "gsm8k",
    "math500",
    "aime24",
    "gsm8k_greedy",
    "gsm8k_sampled",
    "math_greedy",
    "math_sampled",
    "math500_greedy",
    "math500_sampled",
    "aime24_greedy",
    "aime24_sampled",
    "aime25_greedy",
    "aime25_sampled",
    "amc23_greedy",
    "amc23_sampled",
    "heldout_partial",
    "gsm8k_partial",
    "math_partial",
    "math500_partial",
    "aime24_partial",
    "aime25_partial",
    "amc23_partial",
    "fresh_greedy",
    "fresh_sampled",
]
SAMPLED = "_sampled"
"""How the names of tasks end that draw samples."""
PARTIAL = "_partial"
"""How the names of tasks end that give a part of each problem, to see whether a model knows the rest by heart."""
AIME_SAMPLES = 32
"""Draws per problem where the profile says nothing: of 30 problems, one answer each says little."""
SUITES = Path(__file__).with_name("suites.yaml")
"""What `{suite: …}` stands for."""


def problem_set(task: str) -> str | None:
    """The problems that a benchmark of this project asks: `gsm8k` for `gsm8k_greedy`; None for a task of lm-eval that a
    profile names, whatever it is called."""
    return task.partition("_")[0] if task in get_args(BenchmarkTask) else None


def asks_base_alone(task: str) -> bool:
    """Whether a benchmark is one of those that end in `_partial`; lm-eval has such names, too."""
    return task.endswith(PARTIAL) and problem_set(task) is not None


def judges_heldout_answers(task: str) -> bool:
    """Whether a benchmark compares answers with the final answers of held-out problems."""
    return problem_set(task) == "heldout" and not asks_base_alone(task)


class ConversionConfig(Section):
    """The exported checkpoint: Hugging Face safetensors in shards of at most `max_shard_mib`."""

    max_shard_mib: PositiveInt = 2048
    precision: Literal["fp32", "bf16"] = "fp32"


class BenchmarkConfig(Section):
    """One column of the report: an lm-eval task.

    `heldout` and those that end in `_greedy` are this project's: zero-shot, with the training's own prompt. Those that
    end in `_sampled` are the same with `samples` draws at temperature 1 per problem: avg@k, i.e. pass@1 of the sampled
    policy, and from the same draws pass@k and maj@k. Those that end in `_partial` ask the base model alone, for the
    rest of each problem; a rest of more than `max_new_tokens` counts as not known. The others are lm-eval's own, with
    its own prompts: `gsm8k` (5-shot), `math500` (its minerva_math500, 4-shot) and `aime24` (zero-shot).
    """

    task: BenchmarkTask
    limit: SeveralProblems | None = None
    samples: PositiveInt = 1
    """Draws per problem; of AIME 32 unless you say otherwise."""
    max_new_tokens: PositiveInt = 256

    @model_validator(mode="before")
    @classmethod
    def aime_is_sampled_often(cls, values: Any) -> Any:
        aime = isinstance(values, dict) and values.get("task") in ("aime24_sampled", "aime25_sampled")
        return {"samples": AIME_SAMPLES} | values if aime else values

    @model_validator(mode="after")
    def only_sampling_repeats(self) -> Self:
        if self.samples > 1 and not self.task.endswith(SAMPLED):
            raise ValueError(f"samples is only for tasks that end in {SAMPLED}; the other tasks decode greedily")
        return self


class FreshArithmetic(Section):
    """The problems of `fresh_greedy` and `fresh_sampled`: expressions that are drawn from `seed`, for models that may
    have seen the public benchmarks."""

    seed: Count = 0
    """Another one than the run's own, so that runs with several seeds are asked the same problems."""
    problems: Annotated[int, Field(ge=2, le=10_000)] = 500
    steps: Annotated[int, Field(ge=1, le=20)] = 8
    """A problem has 1 to so many operations."""


class DataSnapshot(Section):
    """A data set of the hub at one commit, with all of its splits."""

    repository: HubName
    revision: Commit
    subset: Name | None = None


class LmEvalBenchmark(Section):
    """One column of the report: any task or group of lm-eval, by its name there, on the data that its YAML names.

    It is asked and scored as lm-eval does. A group is the mean of its tasks, weighted by their sizes.
    """

    lm_eval: Name
    metric: Annotated[str, Field(min_length=1, max_length=100)]
    """Of lm-eval, the score of a problem in [0, 1]."""
    filter: Annotated[str, Field(min_length=1, max_length=100)] = "none"
    """Of lm-eval, what the metric reads of a completion."""
    data: DataSnapshot
    limit: PositiveInt | None = None
    """Problems of each task."""
    max_new_tokens: PositiveInt = 256
    """Of an answer that the model writes; where it chooses among answers, nothing is written."""

    @property
    def task(self) -> str:
        """What the column is called."""
        return self.lm_eval

    @property
    def samples(self) -> int:
        """Completions per problem."""
        return 1

    @model_validator(mode="after")
    def name_is_free(self) -> Self:
        if problem_set(self.lm_eval) is not None:
            raise ValueError(f"{self.lm_eval} is a task of this project; write task: {self.lm_eval}, without data")
        return self


def _kind(entry: Any) -> str:
    named = isinstance(entry, LmEvalBenchmark) or (isinstance(entry, dict) and "lm_eval" in entry)
    return "lm_eval" if named else "task"


AnyBenchmark = Annotated[
    Annotated[BenchmarkConfig, Tag("task")] | Annotated[LmEvalBenchmark, Tag("lm_eval")], Discriminator(_kind)
]
"""Told apart by their first key."""


class EvaluationVllm(Section):
    """The vLLM that completes the benchmarks' prompts."""

    tensor_parallel: PositiveInt = 1
    """GPUs over which a model is spread; an evaluation gets as many."""
    gpu_memory_share: SomeShare = 0.75
    """Of a GPU's memory, for weights and key-value cache."""
    cpu_cache_gib: Gib = 1.0
    """Key-value cache on CPU, in GiB."""


class EvaluationConfig(Section):
    """What lm-eval runs on the base, the SFT and the candidate model."""

    benchmarks: Annotated[tuple[AnyBenchmark, ...], Field(min_length=1)]
    heldout_answers: AnswerFormat = "gsm8k"
    """Where this project's tasks look for the final answer; one format, the one that the model is trained to use. After
    `####` it is compared as text, otherwise by the judge of the `math` reward."""
    engine: Literal["transformers", "vllm"] = "transformers"
    """What completes the prompts, the same tokens for both."""
    vllm: EvaluationVllm = EvaluationVllm()
    fresh: FreshArithmetic = FreshArithmetic()
    batch_size: PositiveInt = 32
    """Prompts at a time of transformers, and what a dry run expects of its memory."""
    threads: PositiveInt = 2
    precision: Literal["fp32", "bf16"] = "fp32"

    @field_validator("benchmarks", mode="before")
    @classmethod
    def suites_are_written_out(cls, entries: Any) -> Any:
        """`{suite: knowledge, limit: 500}` stands for the benchmarks of `suites.yaml`."""
        if not isinstance(entries, list | tuple):
            return entries
        return tuple(benchmark for entry in entries for benchmark in _written_out(entry))

    @property
    def gpus(self) -> int:
        """That an evaluation uses, where there are any."""
        return self.vllm.tensor_parallel if self.engine == "vllm" else 1

    def of_model(self, *, base: bool) -> Self:
        """The same with the benchmarks that the base model, or another one, is asked."""
        asked = [one for one in self.benchmarks if base or not asks_base_alone(one.task)]
        return self.model_copy(update={"benchmarks": tuple(asked)})

    @model_validator(mode="after")
    def vllm_is_used(self) -> Self:
        if self.engine != "vllm" and self.vllm != EvaluationVllm():
            raise ValueError(f"evaluation.vllm is for engine: vllm (got {self.engine})")
        return self

    @model_validator(mode="after")
    def fresh_problems_are_asked(self) -> Self:
        if self.fresh != FreshArithmetic() and "fresh" not in {problem_set(one.task) for one in self.benchmarks}:
            raise ValueError("evaluation.fresh is for the benchmarks fresh_greedy and fresh_sampled; name one of them")
        return self

    @model_validator(mode="after")
    def tasks_are_distinct(self) -> Self:
        tasks = [benchmark.task for benchmark in self.benchmarks]
        if len(set(tasks)) < len(tasks):
            raise ValueError("benchmarks must not name the same task twice")
        return self


def _written_out(entry: Any) -> Iterator[Any]:
    if not isinstance(entry, dict) or "suite" not in entry:
        yield entry
        return
    suites, name, limit = read_yaml(SUITES), entry["suite"], {key: entry[key] for key in entry if key == "limit"}
    if name not in list(suites) or len(entry) > 1 + len(limit):  # a list has no hash, but can be compared
        raise ValueError(f"a suite is one of {', '.join(suites)}, with nothing but a limit beside it")
    yield from (benchmark | limit for benchmark in suites[name])


class GateBenchmark(Section):
    """What the gate asks of a candidate on one benchmark, beside the SFT model, the base model and the champion."""

    benchmark: str
    """One of `evaluation.benchmarks`, by its name."""
    at_least: Annotated[float, Field(ge=0, lt=1)] | None = None
    """By more than so much it must be shown to be better than each, as a share: 0.01 is one point."""
    not_worse_than: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Or, where the benchmark only guards against loss: by so much it must be shown not to be worse than each."""
    min_accuracy: Share = 0.0
    """What it must reach in any case."""

    @property
    def margin(self) -> float:
        """What the difference to another model must exceed, in [-1, 1]."""
        return self.at_least if self.at_least is not None else -(self.not_worse_than or 0.0)

    @field_validator("benchmark")
    @classmethod
    def all_models_are_asked(cls, benchmark: BenchmarkTask) -> BenchmarkTask:
        if asks_base_alone(benchmark):
            raise ValueError(f"{benchmark} asks the base model alone; name a benchmark that all models are asked")
        return benchmark

    @model_validator(mode="after")
    def asks_one_thing(self) -> Self:
        if (self.at_least is None) == (self.not_worse_than is None):
            raise ValueError(f"{self.benchmark} needs one of at_least (a gain) and not_worse_than (a guard)")
        return self


class GateConfig(Section):
    """When a candidate becomes champion: what each of `benchmarks` asks is shown at the level `confidence`."""

    benchmarks: Annotated[tuple[GateBenchmark, ...], Field(min_length=1)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    """Of all that is said about the benchmarks together."""

    @property
    def only_guards(self) -> bool:
        """Whether no benchmark asks for a gain."""
        return all(asked.at_least is None for asked in self.benchmarks)

    @model_validator(mode="after")
    def gated_tasks_are_distinct(self) -> Self:
        tasks = [asked.benchmark for asked in self.benchmarks]
        if len(set(tasks)) < len(tasks):
            raise ValueError("gate.benchmarks must not name the same benchmark twice")
        return self

    @model_validator(mode="after")
    def a_loss_has_a_floor(self) -> Self:
        if self.only_guards and not any(asked.min_accuracy for asked in self.benchmarks):
            raise ValueError(
                "no benchmark of the gate asks for a gain (at_least), so that a candidate as bad as a bad SFT model "
                "passes; set min_accuracy on one of them, the accuracy below which nothing is promoted"
            )
        return self

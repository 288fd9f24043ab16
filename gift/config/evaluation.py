"""What happens to a trained model: conversion, benchmarks, gate."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gift.config.rewards import AnswerFormat
from gift.config.section import PositiveInt, Section, Share

BenchmarkTask = Literal["heldout", "heldout_sampled", "gsm8k", "math500", "aime24"]


class ConversionConfig(Section):
    """The exported checkpoint: Hugging Face safetensors in shards of at most `max_shard_mib`."""

    max_shard_mib: PositiveInt = 2048
    precision: Literal["fp32", "bf16"] = "fp32"


class BenchmarkConfig(Section):
    """One column of the report: an lm-eval task on the held-out problems.

    `heldout` is the task of this project (zero-shot, with the training's own prompt); `heldout_sampled` is the same
    with `samples` draws at temperature 1 per problem, i.e. pass@1 of the sampled policy. The others are lm-eval's own,
    with its own prompts: `gsm8k` (5-shot), `math500` (its minerva_math500, 4-shot) and `aime24` (zero-shot).
    """

    task: BenchmarkTask
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
    heldout_answers: AnswerFormat = "gsm8k"
    """Where the tasks `heldout` and `heldout_sampled` look for the final answer; one format, the one that the model is
    trained to use. After `####` it is compared as text, otherwise by the judge of the `math` reward."""
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
    """When a candidate becomes champion: it beats the SFT model and the base model on `benchmark` by a paired test, and
    is not worse than the reigning champion by the same test."""

    benchmark: BenchmarkTask
    min_gain: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """Over the SFT model. Negative where the benchmark only guards against loss: so much worse may a candidate be."""
    min_accuracy: Share = 0.0
    """What the candidate must reach in any case."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95

    @model_validator(mode="after")
    def a_loss_has_a_floor(self) -> Self:
        if self.min_gain < 0 and not self.min_accuracy:
            raise ValueError(
                f"min_gain is {self.min_gain:g}, which a candidate as bad as a bad SFT model passes; set min_accuracy, "
                "the accuracy below which nothing is promoted"
            )
        return self

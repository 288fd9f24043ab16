"""What is measured: a model's shape, how many tokens of which lengths, and where. Imports no torch."""

import fnmatch
import itertools
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from gift.config import ModelShape, Section
from gift.config.section import PositiveInt
from gift.errors import GiftError

MODELS = {
    "12m": ModelShape(
        layers=4,
        hidden_size=256,
        intermediate_size=1024,
        attention_heads=8,
        key_value_heads=8,
        vocabulary_size=32000,
        tied_embeddings=True,
    ),
    # HuggingFaceTB/SmolLM2-135M's shape.
    "135m": ModelShape(
        layers=30,
        hidden_size=576,
        intermediate_size=1536,
        attention_heads=9,
        key_value_heads=3,
        vocabulary_size=49152,
        tied_embeddings=True,
    ),
    # Qwen/Qwen2.5-0.5B's shape, for GPUs: a step of it takes two CPU cores minutes.
    "500m": ModelShape(
        layers=24,
        hidden_size=896,
        intermediate_size=4864,
        attention_heads=14,
        key_value_heads=2,
        vocabulary_size=151936,
        tied_embeddings=True,
        attention_bias=True,
    ),
    "tiny": ModelShape(
        layers=2,
        hidden_size=32,
        intermediate_size=64,
        attention_heads=4,
        key_value_heads=2,
        vocabulary_size=199,
        tied_embeddings=True,
    ),
}
NEW_TOKENS = {"12m": 64, "135m": 128, "500m": 256}
CASE_FILE = "case.json"
"""In the folder that the sides read."""


class StepCase(Section):
    """One batch: `prompts` groups of `group_size` responses."""

    name: str
    model: ModelShape
    prompt_tokens: PositiveInt
    response_tokens: PositiveInt
    """Of the longest response."""
    group_size: PositiveInt
    ragged: bool
    """Whether responses differ in length."""
    prompts: PositiveInt = 2
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the forward and backward pass; both sides keep float32 weights for the optimizer."""
    sampled: bool = False
    """Whether a step begins with sampling as many responses, of the longest's length. They are thrown away: what is
    learned from is the batch, so that both sides take the same step."""

    def measured_on(self, device: Literal["cpu", "cuda"], precision: Literal["fp32", "bf16"]) -> "StepCase":
        """The same batch there, under a name of its own."""
        if (device, precision) == ("cpu", "fp32"):
            return self
        return self.model_copy(
            update={"name": f"{self.name}-{device}-{precision}", "device": device, "precision": precision}
        )

    def with_sampling(self) -> "StepCase":
        """The same batch under a name of its own, in steps that begin with sampling."""
        return self.model_copy(update={"name": f"{self.name}-whole", "sampled": True})

    @property
    def response_lengths(self) -> tuple[tuple[int, ...], ...]:
        """Tokens of each response of each group, the same whenever it is asked; the very first one is the longest.

        Ragged ones are log-normal, as lengths of worked answers are: the median is three tenths of the longest.
        """
        longest, rows = self.response_tokens, self.prompts * self.group_size
        if not self.ragged:
            return ((longest,) * self.group_size,) * self.prompts
        drawn = random.Random(0)
        lengths = [min(longest, max(2, round(longest * drawn.lognormvariate(math.log(0.3), 0.6)))) for _ in range(rows)]
        lengths[0] = longest
        return tuple(tuple(lengths[start : start + self.group_size]) for start in range(0, rows, self.group_size))

    @property
    def tokens(self) -> int:
        """Of all prompts and responses as both trainers count them: the prompt once per response, without padding."""
        responses = itertools.chain.from_iterable(self.response_lengths)
        return self.prompts * self.group_size * self.prompt_tokens + sum(responses)


def _cases() -> dict[str, StepCase]:
    found = [
        StepCase(
            name=f"{model}-p{prompt}-n{size}-{'ragged' if ragged else 'equal'}",
            model=MODELS[model],
            prompt_tokens=prompt,
            response_tokens=new_tokens,
            group_size=size,
            ragged=ragged,
        )
        for model, new_tokens in NEW_TOKENS.items()
        for prompt in (128, 512)
        for size in (8, 16)
        for ragged in (False, True)
    ]
    # Says nothing about speed: it shows in seconds that both sides run and agree.
    tiny = StepCase(
        name="tiny", model=MODELS["tiny"], prompt_tokens=7, response_tokens=9, group_size=3, ragged=True, prompts=2
    )
    return {case.name: case for case in (*found, tiny)}


CASES = _cases()


def read_step_case(folder: Path) -> StepCase:
    """The case that `gift.bench.inputs.write_step_inputs` was called with."""
    return StepCase.model_validate_json((folder / CASE_FILE).read_text(encoding="utf-8"))


def find_cases(patterns: Sequence[str]) -> tuple[StepCase, ...]:
    """The cases that the patterns (`12m-*`) name, each once, in the order of `CASES`.

    Raises:
        GiftError: a pattern names none.
    """
    for pattern in patterns:
        if not fnmatch.filter(CASES, pattern):
            raise GiftError(f"there is no case {pattern}; name one of {', '.join(CASES)}, or several with *")
    return tuple(case for name, case in CASES.items() if any(fnmatch.fnmatchcase(name, each) for each in patterns))

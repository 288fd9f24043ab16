"""Where prompts, demonstrations and benchmark problems come from.

Public data sets are read from a local folder (`folder`, or the environment's `GIFT_DATA_DIR`), or else from the hub at
the commits that `gift.data.public` pins.
"""

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gift.config.section import Count, PositiveInt, Section, SeveralProblems, Share

ContaminationRule = Literal["refuse", "remove", "report"]
"""What becomes of rows that a benchmark asks, too (`gift.data.contamination`).

`refuse` ends the run where a row has all of a benchmark problem. `remove` leaves out, and counts, each row that
overlaps with one: a wrong hit costs a row there, and not the run. `report` trains on them; the report says how many.
"""


class ArithmeticData(Section):
    """Procedural grade-school word problems; the demonstrations are as careless as the two rates say."""

    source: Literal["arithmetic"]
    sft: PositiveInt = 20_000
    train: PositiveInt = 4_000
    heldout: SeveralProblems = 500
    slip_rate: Share = 0.02
    early_stop_rate: Share = 0.4
    max_checks: Count = 0
    """Demonstrations repeat each equation 0 to so many times, so that responses vary in length."""
    thorough_rate: Share | None = None
    """Share of the demonstrations that repeat every equation `max_checks` times, while the others repeat none. None
    draws a number for each equation."""
    contamination: ContaminationRule = "refuse"

    @model_validator(mode="after")
    def thorough_ones_check(self) -> Self:
        if self.thorough_rate is not None and not self.max_checks:
            raise ValueError("thorough_rate is the share that repeats equations max_checks times; set max_checks, too")
        return self


class Gsm8kData(Section):
    """GSM8K; the held-out problems are its test set."""

    source: Literal["gsm8k"]
    folder: Path | None = None
    max_solution_steps: PositiveInt | None = None
    """Only problems whose reference solution has at most so many lines before its final answer, to train on and held
    out: an easy part for a small model. None is all."""
    sft: PositiveInt = 7_473
    train: PositiveInt = 7_473
    heldout: SeveralProblems = 1_319
    contamination: ContaminationRule = "refuse"


class MathData(Section):
    """Hendrycks MATH; the held-out problems are MATH-500."""

    source: Literal["math"]
    folder: Path | None = None
    train_set: Literal["train", "all-but-math500"] = "train"
    """The 7,500 training problems, or the 12,000 that are not in MATH-500."""
    sft: PositiveInt = 12_000
    train: PositiveInt = 12_000
    heldout: SeveralProblems = 500
    contamination: ContaminationRule = "remove"


class DapoData(Section):
    """DAPO-Math-17k, prompts with final answers; the held-out problems are AIME 2024."""

    source: Literal["dapo"]
    folder: Path | None = None
    sft: Count = 0
    """Demonstrations: problems of the MATH training set, because DAPO has no worked answers."""
    train: PositiveInt = 17_917
    heldout: SeveralProblems = 30
    contamination: ContaminationRule = "remove"


class UltraFeedbackData(Section):
    """UltraFeedback, binarized: prompts without final answers, for reward models.

    The demonstrations are the chosen responses; chosen and rejected ones together are the scored data of DPO and UNA.
    What is longer than the limits, in bytes of UTF-8, is left out: a byte-level tokenizer never makes more tokens.
    """

    source: Literal["ultrafeedback"]
    folder: Path | None = None
    max_question_bytes: PositiveInt = 1_900
    max_answer_bytes: PositiveInt = 4_000
    sft: PositiveInt = 61_135
    train: PositiveInt = 61_135
    heldout: SeveralProblems = 2_000
    contamination: ContaminationRule = "remove"


class JsonLinesData(Section):
    """Your own problems: JSON Lines files with a `question`, and an `answer` that ends in `#### <final answer>` or a
    `final_answer` apart."""

    source: Literal["jsonl"]
    train_file: Path
    heldout_file: Path
    scored_file: Path | None = None
    """For `rl.groups: dataset`: a question with `responses` and their `scores`, or with `chosen` and `rejected`."""
    unearnable: Literal["refuse", "drop"] = "refuse"
    """Problems whose final answer no response can earn, as `72 apples` where a number is read: refuse the files, or
    leave these problems out of `train` and `heldout`, and count them."""
    sft: PositiveInt = 1_000_000
    train: PositiveInt = 1_000_000
    heldout: SeveralProblems = 1_000_000
    contamination: ContaminationRule = "refuse"


DataConfig = Annotated[
    ArithmeticData | Gsm8kData | MathData | DapoData | UltraFeedbackData | JsonLinesData, Field(discriminator="source")
]


def data_folder(config: DataConfig) -> Path | None:
    """The folder with local copies of public data sets, or None where the hub is to be asked."""
    from_environment = os.environ.get("GIFT_DATA_DIR")
    return getattr(config, "folder", None) or (Path(from_environment) if from_environment else None)

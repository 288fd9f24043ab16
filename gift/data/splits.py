"""From a data configuration to problems for the warm-up, for training and to be held out: one function per source.

A held-out question that is also trained on is refused, in your own files and where it would be a fault of ours. MATH,
DAPO and UltraFeedback are known to contain such questions: there it is left out and counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gift.config import (
    ArithmeticData,
    DapoData,
    DataConfig,
    Gsm8kData,
    JsonLinesData,
    MathData,
    UltraFeedbackData,
    data_folder,
)
from gift.data import arithmetic, public
from gift.data.cleaning import cleaned, refuse_control_characters, refuse_heldout, without_heldout
from gift.data.problems import Problem, read_problems
from gift.data.public import PublicData, read_public
from gift.data.scored import ScoredProblem, read_scored
from gift.errors import GiftError

SPLITS = ("sft", "train", "heldout")


@dataclass(frozen=True)
class Splits:
    """What one source gives."""

    sft: Sequence[Problem]
    train: Sequence[Problem]
    heldout: Sequence[Problem]
    scored: Sequence[ScoredProblem] = ()
    dropped: dict[str, int] = field(default_factory=dict)
    """`<split>.<reason>` → rows."""


def training_data(config: DataConfig) -> list[PublicData]:
    """The public data sets that `make_splits` reads."""
    match config:
        case Gsm8kData():
            return [public.GSM8K_TRAIN, public.GSM8K_TEST]
        case MathData():
            everything = config.train_set == "all-but-math500"
            return [public.MATH_TRAIN, public.MATH500, *([public.MATH_TEST] if everything else [])]
        case DapoData():
            return [public.DAPO, public.AIME24, *([public.MATH_TRAIN] if config.sft else [])]
        case UltraFeedbackData():
            return [public.ULTRAFEEDBACK_TRAIN, public.ULTRAFEEDBACK_TEST]
    return []


def make_splits(data: DataConfig, seed: int, tested: Sequence[Problem]) -> Splits:
    """Read or make the problems of a run.

    Args:
        seed: draws the problems of the arithmetic source; the others don't depend on it.
        tested: what else, besides the held-out split, must not be trained on.

    Raises:
        GiftError: a source is missing or malformed, asks for too many problems, or repeats held-out ones.
    """
    folder = data_folder(data)
    match data:
        case ArithmeticData():
            return _checked(_arithmetic(data, seed), tested)
        case Gsm8kData():
            train = read_public(public.GSM8K_TRAIN, folder)
            test = read_public(public.GSM8K_TEST, folder)
            return _checked(Splits(train[: data.sft], train[: data.train], test[: data.heldout]), tested)
        case JsonLinesData():
            train, heldout = read_problems(data.train_file), read_problems(data.heldout_file, data.heldout)
            scored = read_scored(data.scored_file) if data.scored_file else []
            for split, rows in (("train", train), ("heldout", heldout), ("scored", scored)):
                refuse_control_characters(rows, f"data, split {split}")
            return _checked(Splits(train[: data.sft], train[: data.train], heldout, scored), tested)
        case MathData():
            return _math(data, folder, tested)
        case DapoData():
            return _dapo(data, folder, tested)
        case UltraFeedbackData():
            return _ultrafeedback(data, folder, tested)


def _checked(splits: Splits, tested: Sequence[Problem]) -> Splits:
    for name in ("sft", "train", "scored"):
        refuse_heldout(getattr(splits, name), [*splits.heldout, *tested], name)
    return splits


def _arithmetic(data: ArithmeticData, seed: int) -> Splits:
    try:
        rates = (data.slip_rate, data.early_stop_rate)
        made = arithmetic.make_word_problems(
            seed, data.sft, data.train, data.heldout, *rates, max_checks=data.max_checks
        )
    except ValueError as error:
        raise GiftError(f"data: {error}") from error
    sft, train, heldout = ([Problem(p.id, p.question, p.answer, p.final_answer) for p in made[name]] for name in SPLITS)
    return Splits(sft, train, heldout)


def _math(data: MathData, folder: Path | None, tested: Sequence[Problem]) -> Splits:
    heldout = read_public(public.MATH500, folder)
    problems = read_public(public.MATH_TRAIN, folder)
    if data.train_set == "all-but-math500":
        problems += read_public(public.MATH_TEST, folder)
    train, dropped = cleaned(_answered(problems), [*heldout, *tested])
    dropped["no_answer"] = len(problems) - len(_answered(problems))
    return Splits(train[: data.sft], train[: data.train], heldout[: data.heldout], dropped=_of("train", dropped))


def _dapo(data: DapoData, folder: Path | None, tested: Sequence[Problem]) -> Splits:
    heldout = read_public(public.AIME24, folder)
    train, dropped = cleaned(read_public(public.DAPO, folder), [*heldout, *tested])
    demonstrations, dropped_demonstrations = cleaned(
        _answered(read_public(public.MATH_TRAIN, folder)) if data.sft else [], [*heldout, *tested]
    )
    return Splits(
        demonstrations[: data.sft],
        train[: data.train],
        heldout[: data.heldout],
        dropped=_of("train", dropped) | _of("sft", dropped_demonstrations),
    )


def _ultrafeedback(data: UltraFeedbackData, folder: Path | None, tested: Sequence[Problem]) -> Splits:
    def fits(question: str, *answers: str) -> bool:
        lengths_fit = len(question.encode()) <= data.max_question_bytes
        return lengths_fit and all(0 < len(answer.encode()) <= data.max_answer_bytes for answer in answers)

    heldout = [p for p in read_public(public.ULTRAFEEDBACK_TEST, folder) if fits(p.question)][: data.heldout]
    problems = read_public(public.ULTRAFEEDBACK_TRAIN, folder)
    fitting = [problem for problem in problems if fits(problem.question, problem.answer)]
    train, dropped = cleaned(fitting, [*heldout, *tested])
    dropped["too_long"] = len(problems) - len(fitting)
    pairs = [
        ScoredProblem(default_id, question, chosen, "", (chosen, rejected), (1.0, 0.0))
        for where, default_id, row in public.public_rows(public.ULTRAFEEDBACK_TRAIN, folder)
        for question, chosen, rejected in [public.preference(row, where)]
        if fits(question, chosen, rejected)
    ]
    scored, _ = without_heldout(pairs, [*heldout, *tested])
    return Splits(train[: data.sft], train[: data.train], heldout, scored, _of("train", dropped))


def _answered(problems: Sequence[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.final_answer]


def _of(split: str, dropped: dict[str, int]) -> dict[str, int]:
    return {f"{split}.{reason}": count for reason, count in dropped.items()}

"""From a data configuration to problems for the warm-up, for training and to be held out: one function per source.

What is trained on and asked by a benchmark at once is refused, in your own files and where it would be a fault of ours.
MATH, DAPO and UltraFeedback are known to contain such rows: there they are left out and counted
(`data.contamination`, `gift.data.contamination`). Of every source, a held-out question is asked once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

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
from gift.data.cleaning import cleaned, refuse_control_characters
from gift.data.contamination import Contamination, Match, count_matches, index_problems, matches_of
from gift.data.problems import ANSWER_MARK, Problem, question_in, read_problems, read_rows
from gift.data.public import PublicData, read_public
from gift.data.scored import ScoredProblem, read_scored
from gift.errors import GiftError

SPLITS = ("sft", "train", "heldout")
TRAINED_ON = ("sft", "train", "scored")


@dataclass(frozen=True)
class Splits:
    """What one source gives."""

    sft: Sequence[Problem]
    train: Sequence[Problem]
    heldout: Sequence[Problem]
    scored: Sequence[ScoredProblem] = ()
    dropped: dict[str, int] = field(default_factory=dict)
    """`<split>.<reason>` → rows."""
    contamination: Mapping[str, Contamination] = field(default_factory=dict)
    """Benchmark, or `heldout` → how much of it is trained on."""


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


def make_splits(data: DataConfig, seed: int, benchmarks: Mapping[str, Sequence[Problem]]) -> Splits:
    """Read or make the problems of a run.

    Args:
        seed: draws the problems of the arithmetic source; the others don't depend on it.
        benchmarks: what else, besides the held-out split, must not be trained on.

    Raises:
        GiftError: a source is missing or malformed, asks for too many problems, or repeats a benchmark's.
    """
    found = _heldout_once(_read(data, seed))
    index = index_problems({"heldout": found.heldout, **benchmarks})
    rows = {row for split in TRAINED_ON for row in getattr(found, split)}
    matches = {row: matches_of(row, index) for row in rows}
    splits = _cut(data, _without_matches(found, matches) if data.contamination == "remove" else found)
    if data.contamination == "refuse":
        _refuse_benchmarks(data, splits, matches)
    remaining = [match for split in TRAINED_ON for row in getattr(splits, split) for match in matches[row]]
    return replace(splits, contamination=count_matches(remaining, index))


def _read(data: DataConfig, seed: int) -> Splits:
    """All that the source has."""
    folder = data_folder(data)
    match data:
        case ArithmeticData():
            return _arithmetic(data, seed)
        case Gsm8kData():
            return _gsm8k(data, folder)
        case JsonLinesData():
            train, heldout = read_problems(data.train_file), read_problems(data.heldout_file, data.heldout)
            scored = read_scored(data.scored_file) if data.scored_file else []
            for split, rows in (("train", train), ("heldout", heldout), ("scored", scored)):
                refuse_control_characters(rows, f"data, split {split}")
            return Splits(train, train, heldout, scored)
        case MathData():
            return _math(data, folder)
        case DapoData():
            return _dapo(data, folder)
        case UltraFeedbackData():
            return _ultrafeedback(data, folder)


def _heldout_once(found: Splits) -> Splits:
    """A question that is held out twice would count as two pieces of evidence, and one has no two final answers."""
    heldout, dropped = cleaned(found.heldout)
    return replace(found, heldout=heldout, dropped=found.dropped | _of("heldout", dropped))


def _without_matches(found: Splits, matches: Mapping[Problem | ScoredProblem, Sequence[Match]]) -> Splits:
    kept: dict[str, Any] = {split: [row for row in getattr(found, split) if not matches[row]] for split in TRAINED_ON}
    lost = {f"{split}.contaminated": len(getattr(found, split)) - len(kept[split]) for split in TRAINED_ON}
    return replace(found, **kept, dropped=found.dropped | lost)


def _cut(data: DataConfig, found: Splits) -> Splits:
    return replace(
        found, sft=found.sft[: data.sft], train=found.train[: data.train], heldout=found.heldout[: data.heldout]
    )


def _refuse_benchmarks(
    data: DataConfig, splits: Splits, matches: Mapping[Problem | ScoredProblem, Sequence[Match]]
) -> None:
    """A benchmark problem that was trained on makes the report worthless.

    Raises:
        GiftError: a row has all of one.
    """
    for split in TRAINED_ON:
        found = [(row, match.tested) for row in getattr(splits, split) for match in matches[row] if match.whole]
        if found:
            row, tested = found[0]
            raise GiftError(
                f"data: problem {row.id}{_place(data, split, row)} of split {split} is problem {tested.id} of the "
                f"benchmark {tested.benchmark}, the first of {len(found)} such; take them out, or set "
                "data.contamination to remove, or to report (they are trained on, and the report says so)"
            )


def _place(data: DataConfig, split: str, row: Problem | ScoredProblem) -> str:
    """Where a row of your own files stands; the ids of public data say it."""
    if not isinstance(data, JsonLinesData):
        return ""
    path = data.scored_file if split == "scored" and data.scored_file else data.train_file
    lines = (number for number, values in read_rows(path) if question_in(values, str(path)) == row.question)
    return f" ({path}, line {next(lines)})"


def _arithmetic(data: ArithmeticData, seed: int) -> Splits:
    try:
        made = arithmetic.make_word_problems(
            seed,
            data.sft,
            data.train,
            data.heldout,
            data.slip_rate,
            data.early_stop_rate,
            max_checks=data.max_checks,
            thorough_rate=data.thorough_rate,
        )
    except ValueError as error:
        raise GiftError(f"data: {error}") from error
    sft, train, heldout = ([Problem(p.id, p.question, p.answer, p.final_answer) for p in made[name]] for name in SPLITS)
    return Splits(sft, train, heldout)


def _gsm8k(data: Gsm8kData, folder: Path | None) -> Splits:
    train, heldout = (read_public(split, folder) for split in (public.GSM8K_TRAIN, public.GSM8K_TEST))
    if data.max_solution_steps is None:
        return Splits(train, train, heldout)
    steps = range(1, data.max_solution_steps + 1)
    easy, easy_heldout = ([one for one in split if _solution_steps(one) in steps] for split in (train, heldout))
    if not easy or not easy_heldout:
        raise GiftError(f"data.max_solution_steps: GSM8K has no solutions of at most {data.max_solution_steps} steps")
    lost = {"train": len(train) - len(easy), "heldout": len(heldout) - len(easy_heldout)}
    return Splits(
        easy, easy, easy_heldout, dropped={f"{split}.no_short_solution": count for split, count in lost.items()}
    )


def _solution_steps(problem: Problem) -> int:
    """GSM8K writes one step of a solution a line, and the final answer behind them."""
    lines = (line.strip() for line in problem.answer.splitlines())
    return sum(bool(line) and not line.startswith(ANSWER_MARK.strip()) for line in lines)


def _math(data: MathData, folder: Path | None) -> Splits:
    problems = read_public(public.MATH_TRAIN, folder)
    if data.train_set == "all-but-math500":
        problems += read_public(public.MATH_TEST, folder)
    train, dropped = cleaned(_answered(problems))
    dropped["no_answer"] = len(problems) - len(_answered(problems))
    return Splits(train, train, read_public(public.MATH500, folder), dropped=_of("train", dropped))


def _dapo(data: DapoData, folder: Path | None) -> Splits:
    train, dropped = cleaned(read_public(public.DAPO, folder))
    demonstrations, lost = cleaned(_answered(read_public(public.MATH_TRAIN, folder)) if data.sft else [])
    heldout = read_public(public.AIME24, folder)
    return Splits(demonstrations, train, heldout, dropped=_of("train", dropped) | _of("sft", lost))


def _ultrafeedback(data: UltraFeedbackData, folder: Path | None) -> Splits:
    def fits(question: str, *answers: str) -> bool:
        lengths_fit = len(question.encode()) <= data.max_question_bytes
        return lengths_fit and all(0 < len(answer.encode()) <= data.max_answer_bytes for answer in answers)

    heldout = [problem for problem in read_public(public.ULTRAFEEDBACK_TEST, folder) if fits(problem.question)]
    problems = read_public(public.ULTRAFEEDBACK_TRAIN, folder)
    fitting = [problem for problem in problems if fits(problem.question, problem.answer)]
    train, dropped = cleaned(fitting)
    dropped["too_long"] = len(problems) - len(fitting)
    pairs = [
        ScoredProblem(default_id, question, chosen, "", (chosen, rejected), (1.0, 0.0))
        for where, default_id, row in public.public_rows(public.ULTRAFEEDBACK_TRAIN, folder)
        for question, chosen, rejected in [public.preference(row, where)]
        if fits(question, chosen, rejected)
    ]
    return Splits(train, train, heldout, pairs, _of("train", dropped))


def _answered(problems: Sequence[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.final_answer]


def _of(split: str, dropped: dict[str, int]) -> dict[str, int]:
    return {f"{split}.{reason}": count for reason, count in dropped.items()}

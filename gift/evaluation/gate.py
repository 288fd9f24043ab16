"""The gate: may the candidate become the champion?

It may when it beats the SFT model and the base model by a one-sided paired test, reaches the least accuracy, and no
such test shows it to be worse than the reigning champion. Where the champion's results can't be compared, it may not.
Left out on purpose: a way around the gate. Who knows better promotes by hand.
"""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from gift.config import GateConfig
from gift.errors import GiftError
from gift.evaluation.results import BenchmarkResult
from gift.evaluation.statistics import PairedDifference, differences, lower_bound, paired_difference

VERDICT_FILE = "verdict.json"
"""What the gate leaves behind: a `Verdict`."""


@dataclass(frozen=True)
class NotComparable:
    """There is a champion, but no result of it that a candidate could be compared with."""

    reason: str
    """A clause that follows "The champion can't be compared: "."""


class Opponent(BaseModel):
    """The model version that was champion when the gate decided."""

    model_config = ConfigDict(frozen=True)

    model: str
    version: str


class Verdict(BaseModel):
    """The decision, one sentence per test, and the numbers (keyed `sft`, `base` and, where comparable, `champion`)."""

    model_config = ConfigDict(frozen=True)

    promote: bool
    comparable: bool = True
    """False where there is a champion that the candidate can't be compared with."""
    champion: Opponent | None = None
    """Whom the verdict was reached against; None when there was no champion."""
    reasons: tuple[str, ...]
    comparisons: dict[str, PairedDifference]


def decide(
    config: GateConfig,
    base: BenchmarkResult,
    sft: BenchmarkResult,
    candidate: BenchmarkResult,
    champion: BenchmarkResult | NotComparable | None,
    opponent: Opponent | None = None,
) -> Verdict:
    """Judge the candidate on `config.benchmark`; `champion` is None when there is none yet, `opponent` its version.

    Raises:
        GiftError: a result belongs to another benchmark, or the base or SFT model was evaluated on other problems.
    """
    for result in (base, sft, candidate, champion):
        if isinstance(result, BenchmarkResult) and result.task != config.benchmark:
            raise GiftError(f"the gate judges {config.benchmark}, but was given a result of {result.task}")
    if isinstance(champion, BenchmarkResult) and champion.ids != candidate.ids:
        champion = NotComparable(
            f"it was evaluated on other {champion.task} problems ({champion.n}, the candidate on {candidate.n})"
        )
    comparisons = {"sft": paired_difference(candidate, sft), "base": paired_difference(candidate, base)}
    beats_sft, reason = _beats_sft(config, sft, candidate, comparisons["sft"])
    reasons = [reason]
    holds_against_champion = True
    match champion:
        case None:
            reasons.append("There is no champion yet to compare with.")
        case NotComparable(why):
            holds_against_champion = False
            reasons.append(f"The champion can't be compared: {why}. A human has to decide and promote by hand.")
        case BenchmarkResult():
            comparisons["champion"] = paired_difference(candidate, champion)
            holds_against_champion, reason = _holds_against(config, champion, candidate, comparisons["champion"])
            reasons.append(reason)
    beats_base, reason = _beats_base(config, base, candidate, comparisons["base"])
    reasons.append(reason)
    if not (high_enough := candidate.accuracy >= config.min_accuracy):
        reasons.append(f"The candidate does not reach the least accuracy, {config.min_accuracy:.1%}.")
    return Verdict(
        promote=beats_sft and beats_base and high_enough and holds_against_champion,
        comparable=not isinstance(champion, NotComparable),
        champion=opponent,
        reasons=tuple(reasons),
        comparisons=comparisons,
    )


def _beats_sft(
    config: GateConfig, sft: BenchmarkResult, candidate: BenchmarkResult, difference: PairedDifference
) -> tuple[bool, str]:
    bound = lower_bound(differences(candidate, sft), config.confidence)
    passed = bound > config.min_gain
    return passed, (
        f"On {candidate.n} {candidate.task} problems the candidate solves {candidate.accuracy:.1%} and the SFT model "
        f"{sft.accuracy:.1%}: {_points(difference)}. At {100 * config.confidence:g}% confidence the gain is at least "
        f"{100 * bound:+.1f} points, which {'exceeds' if passed else 'does not exceed'} the required "
        f"{100 * config.min_gain:.1f}."
    )


def _beats_base(
    config: GateConfig, base: BenchmarkResult, candidate: BenchmarkResult, difference: PairedDifference
) -> tuple[bool, str]:
    passed = lower_bound(differences(candidate, base), config.confidence) > 0
    return passed, (
        f"The base model solves {base.accuracy:.1%} of the same problems: {_points(difference)}. The candidate is "
        f"{'significantly' if passed else 'not significantly'} better at {100 * config.confidence:g}% confidence."
    )


def _holds_against(
    config: GateConfig, champion: BenchmarkResult, candidate: BenchmarkResult, difference: PairedDifference
) -> tuple[bool, str]:
    passed = lower_bound(differences(champion, candidate), config.confidence) <= 0
    return passed, (
        f"The champion solves {champion.accuracy:.1%} of the same problems: {_points(difference)}. The candidate is "
        f"{'not significantly' if passed else 'significantly'} worse at {100 * config.confidence:g}% confidence."
    )


def _points(difference: PairedDifference) -> str:
    return f"a difference of {100 * difference.mean:+.1f} ± {100 * difference.stderr:.1f} points (± standard error)"

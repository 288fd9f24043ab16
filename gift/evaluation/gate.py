"""The gate: may the candidate become the champion?

It may when it beats the SFT model by a one-sided paired test, and no such test shows it to be worse than the reigning
champion. Left out on purpose: a way around the gate. Who knows better promotes by hand.
"""

from statistics import NormalDist

from pydantic import BaseModel, ConfigDict

from gift.config import GateConfig
from gift.errors import GiftError
from gift.evaluation.results import BenchmarkResult
from gift.evaluation.statistics import PairedDifference, paired_difference


class Verdict(BaseModel):
    """The decision, one sentence per test, and the numbers (keyed `sft` and, where comparable, `champion`)."""

    model_config = ConfigDict(frozen=True)

    promote: bool
    reasons: tuple[str, ...]
    comparisons: dict[str, PairedDifference]


def decide(
    config: GateConfig, sft: BenchmarkResult, candidate: BenchmarkResult, champion: BenchmarkResult | None
) -> Verdict:
    """Judge the candidate on `config.benchmark`; `champion` is None when there is none yet.

    Raises:
        GiftError: a result belongs to another benchmark, or the SFT model was evaluated on other problems.
    """
    for result in (sft, candidate, champion):
        if result is not None and result.task != config.benchmark:
            raise GiftError(f"the gate judges {config.benchmark}, but was given a result of {result.task}")
    z = NormalDist().inv_cdf(config.confidence)
    comparisons = {"sft": paired_difference(candidate, sft)}
    beats_sft, reason = _beats_sft(config, z, sft, candidate, comparisons["sft"])
    reasons = [reason]
    holds_against_champion = True
    if champion is None:
        reasons.append("There is no champion yet to compare with.")
    elif champion.ids != candidate.ids:
        holds_against_champion = False
        reasons.append(
            f"The champion was evaluated on other {champion.task} problems ({champion.n}, the candidate on "
            f"{candidate.n}), so the two cannot be compared; a human has to decide and promote by hand."
        )
    else:
        comparisons["champion"] = paired_difference(candidate, champion)
        holds_against_champion, reason = _holds_against_champion(config, z, champion, comparisons["champion"])
        reasons.append(reason)
    return Verdict(promote=beats_sft and holds_against_champion, reasons=tuple(reasons), comparisons=comparisons)


def _beats_sft(
    config: GateConfig, z: float, sft: BenchmarkResult, candidate: BenchmarkResult, difference: PairedDifference
) -> tuple[bool, str]:
    bound = difference.mean - z * difference.stderr
    passed = bound > config.min_gain
    return passed, (
        f"On {candidate.n} {candidate.task} problems the candidate solves {candidate.accuracy:.1%} and the SFT model "
        f"{sft.accuracy:.1%}: {_points(difference)}. At {100 * config.confidence:g}% confidence the gain is at least "
        f"{100 * bound:+.1f} points, which {'exceeds' if passed else 'does not exceed'} the required "
        f"{100 * config.min_gain:.1f}."
    )


def _holds_against_champion(
    config: GateConfig, z: float, champion: BenchmarkResult, difference: PairedDifference
) -> tuple[bool, str]:
    passed = difference.mean + z * difference.stderr >= 0
    return passed, (
        f"The champion solves {champion.accuracy:.1%} of the same problems: {_points(difference)}. The candidate is "
        f"{'not significantly' if passed else 'significantly'} worse at {100 * config.confidence:g}% confidence."
    )


def _points(difference: PairedDifference) -> str:
    return f"a difference of {100 * difference.mean:+.1f} ± {100 * difference.stderr:.1f} points (± standard error)"

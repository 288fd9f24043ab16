"""The gate: may the candidate become the champion?

On each of the gate's benchmarks the candidate is compared, problem by problem, with the SFT model, the base model and
the reigning champion. What a benchmark asks is *met* where it is shown against each of them, *missed* where the
contrary is shown against one of them, and *open* where the problems tell neither.

    promote    every benchmark is met
    keep       one or more is missed: the candidate is shown not to be good enough
    undecided  none is missed, but one is open, or the champion can't be compared; a human may decide

Two families of hypotheses are tested, each at the level 1 − `confidence`, with Holm's correction over the benchmarks:
"what benchmark b asks is not met", and "what benchmark b asks is met". So the chance that one or more benchmarks is
called met and is not is at most that level, and the same for missed. Within a benchmark all comparisons must hold, so
its p-value for met is their largest and needs no correction (an intersection-union test: Berger 1982, Technometrics
24); one that fails is enough for missed, so that p-value is the smallest times their number (Bonferroni).

A promotion needs all benchmarks and would therefore need no correction over them either. It takes the corrected ones
all the same: people read the sentence of each benchmark by itself, and a verdict that its sentences don't bear out is
none. With one benchmark there is nothing to correct.

Where no benchmark asks for a gain, the candidate must at least be better than the base model on each: it is easy to be
no worse than a spoilt SFT model. Left out on purpose: a way around the gate. Who knows better promotes by hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from gift.config import GateBenchmark, GateConfig
from gift.errors import GiftError
from gift.evaluation.results import BenchmarkResult
from gift.gate.paired import PairedDifference, differences, holm, p_value, paired_difference

VERDICT_FILE = "verdict.json"
"""What the gate leaves behind: a `Verdict`."""
CALLED = {"candidate": "the candidate", "sft": "the SFT model", "base": "the base model", "champion": "the champion"}

Decision = Literal["promote", "keep", "undecided"]
Outcome = Literal["met", "missed", "open"]
ModelResults = Mapping[str, BenchmarkResult]
"""Benchmark → what one model scored."""


@dataclass(frozen=True)
class NotComparable:
    """There is a champion, but nobody can evaluate it."""

    reason: str
    """A clause that follows "The champion can't be compared: "."""


class Opponent(BaseModel):
    """The model version that was champion when the gate decided."""

    model_config = ConfigDict(frozen=True)

    model: str
    version: str


class BenchmarkVerdict(BaseModel):
    """What one benchmark says; p-values are corrected over the gate's benchmarks."""

    model_config = ConfigDict(frozen=True)

    benchmark: str
    outcome: Outcome
    met_p: float
    """Of the test that what is asked is met."""
    missed_p: float
    """Of the test that it is not."""
    comparisons: dict[str, PairedDifference]
    """`sft`, `base` and, where there is one that can be compared, `champion` → candidate minus that model."""


class Verdict(BaseModel):
    """The decision, with its sentence, and what it rests on."""

    model_config = ConfigDict(frozen=True)

    decision: Decision
    sentence: str
    champion: Opponent | None = None
    """Whom the verdict was reached against; None when there was no champion."""
    incomparable: str | None = None
    """Why it could not be compared with, where it could not."""
    reasons: tuple[str, ...]
    """Sentences: each benchmark's, what falls below its least accuracy, and the champion's where it has no numbers."""
    benchmarks: tuple[BenchmarkVerdict, ...]


@dataclass(frozen=True)
class _Tested:
    """A benchmark's comparisons before the correction over benchmarks."""

    asked: GateBenchmark
    comparisons: dict[str, PairedDifference]
    met_p: float
    missed_p: float


def decide(
    config: GateConfig,
    base: ModelResults,
    sft: ModelResults,
    candidate: ModelResults,
    champion: ModelResults | NotComparable | None,
    opponent: Opponent | None = None,
) -> Verdict:
    """Judge the candidate on `config.benchmarks`; `champion` is None when there is none yet, `opponent` its version.

    Raises:
        GiftError: a result is missing, or of another benchmark, or of other problems than the candidate's.
    """
    others = {"sft": sft, "base": base}
    if champion is not None and not isinstance(champion, NotComparable):
        others["champion"] = champion
    tested = [_test(config, asked, candidate, others) for asked in config.benchmarks]
    met, missed = holm([one.met_p for one in tested]), holm([one.missed_p for one in tested])
    judged = tuple(
        _judge(config, one, candidate, met_p, missed_p)
        for one, met_p, missed_p in zip(tested, met, missed, strict=True)
    )
    decision, sentence = _decision(judged, champion)
    return Verdict(
        decision=decision,
        sentence=sentence,
        champion=opponent,
        incomparable=champion.reason if isinstance(champion, NotComparable) else None,
        reasons=(
            *(_reason(config, one.asked, said, candidate, others) for one, said in zip(tested, judged, strict=True)),
            *_too_low(config, candidate),
            *_about_the_champion(champion),
        ),
        benchmarks=judged,
    )


def _test(
    config: GateConfig, asked: GateBenchmark, candidate: ModelResults, others: Mapping[str, ModelResults]
) -> _Tested:
    own = _result("candidate", candidate, asked.benchmark)
    results = {name: _result(name, other, asked.benchmark) for name, other in others.items()}
    gained = {name: differences(own, result) for name, result in results.items()}
    margins = {name: _margin(config, asked, name) for name in others}
    against = [p_value([-x for x in gained[name]], -margins[name]) for name in others]
    return _Tested(
        asked,
        {name: paired_difference(own, result) for name, result in results.items()},
        met_p=max(p_value(gained[name], margins[name]) for name in others),
        missed_p=min(1.0, len(against) * min(against)),
    )


def _result(model: str, results: ModelResults, benchmark: str) -> BenchmarkResult:
    found = results.get(benchmark)
    if found is None or found.task != benchmark:
        raise GiftError(f"the gate judges {benchmark}, but the evaluation of {CALLED[model]} has no such result")
    return found


def _margin(config: GateConfig, asked: GateBenchmark, other: str) -> float:
    """What the difference to the other model must exceed."""
    return 0.0 if other == "base" and config.only_guards else asked.margin


def _judge(
    config: GateConfig, tested: _Tested, candidate: ModelResults, met_p: float, missed_p: float
) -> BenchmarkVerdict:
    level, outcome = 1 - config.confidence, "open"
    if missed_p <= level or candidate[tested.asked.benchmark].accuracy < tested.asked.min_accuracy:
        outcome = "missed"
    elif met_p <= level:
        outcome = "met"
    return BenchmarkVerdict(
        benchmark=tested.asked.benchmark,
        outcome=outcome,
        met_p=met_p,
        missed_p=missed_p,
        comparisons=tested.comparisons,
    )


def _decision(
    judged: tuple[BenchmarkVerdict, ...], champion: ModelResults | NotComparable | None
) -> tuple[Decision, str]:
    names = {
        outcome: " and ".join(one.benchmark for one in judged if one.outcome == outcome)
        for outcome in ("missed", "open")
    }
    if names["missed"]:
        return "keep", f"Keep: the candidate falls short of what the gate asks on {names['missed']}."
    if isinstance(champion, NotComparable):
        return "undecided", "Undecided: there is a champion that the candidate can't be compared with."
    if names["open"]:
        return "undecided", (
            f"Undecided: on {names['open']} the candidate is shown neither to meet what the gate asks nor to fall "
            "short of it; more problems could tell."
        )
    return "promote", "Promote: the candidate meets what the gate asks on every benchmark."


def _reason(
    config: GateConfig,
    asked: GateBenchmark,
    said: BenchmarkVerdict,
    candidate: ModelResults,
    others: Mapping[str, ModelResults],
) -> str:
    own = candidate[asked.benchmark]
    scores = ", ".join(
        f"{CALLED[name]} {other[asked.benchmark].accuracy:.1%} ({_points(said.comparisons[name])})"
        for name, other in others.items()
    )
    return (
        f"On {own.n} {asked.benchmark} problems the candidate solves {own.accuracy:.1%}, {scores}. "
        f"{_asks(config, asked)} At {_confidence(config)} this {_shown(said, config)}."
    )


def _points(difference: PairedDifference) -> str:
    return f"{100 * difference.mean:+.1f} ± {100 * difference.stderr:.1f} points"


def _asks(config: GateConfig, asked: GateBenchmark) -> str:
    points = 100 * abs(asked.margin)
    if asked.at_least is not None:
        return f"It must be better than each by more than {points:.1f} points."
    floor = ", and better than the base model" if config.only_guards else ""
    return f"It must be less than {points:.1f} points worse than each{floor}."


def _confidence(config: GateConfig) -> str:
    several = f" over {len(config.benchmarks)} benchmarks (Holm)" if len(config.benchmarks) > 1 else ""
    return f"{100 * config.confidence:g}% confidence{several}"


def _shown(said: BenchmarkVerdict, config: GateConfig) -> str:
    met, missed, level = _p_text(said.met_p), _p_text(said.missed_p), 1 - config.confidence
    if said.missed_p <= level:
        return f"is shown not to hold ({missed})"
    if said.met_p <= level:
        return f"is shown ({met})"
    return f"is neither shown ({met}) nor refuted ({missed})"


def _p_text(p: float) -> str:
    return f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"


def _too_low(config: GateConfig, candidate: ModelResults) -> list[str]:
    return [
        f"On {asked.benchmark} the candidate does not reach the least accuracy, {asked.min_accuracy:.1%}."
        for asked in config.benchmarks
        if candidate[asked.benchmark].accuracy < asked.min_accuracy
    ]


def _about_the_champion(champion: ModelResults | NotComparable | None) -> list[str]:
    match champion:
        case None:
            return ["There is no champion yet to compare with."]
        case NotComparable(why):
            return [f"The champion can't be compared: {why}. A human has to decide and promote by hand."]
    return []

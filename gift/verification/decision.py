"""The candidate's differences to the other models, and the gate's verdict, again from the results.

Left out: why a version is not champion although the gate was for it, which the registry's tags say.
"""

from collections.abc import Iterator, Mapping

from gift.config import RunConfig
from gift.errors import GiftError
from gift.evaluation.results import BenchmarkResult
from gift.execution.stage import downloaded
from gift.gate.paired import INTERVAL_CONFIDENCE, paired_difference
from gift.gate.verdict import VERDICT_FILE, NotComparable, Verdict, decide
from gift.report.files import load_document
from gift.report.schema import AccuracyDifference, ModelName, Report
from gift.verification.finding import ReportFinding, differs, holds, unknown
from gift.verification.sections import some_of, unequal
from gift.verification.stored import stored_evaluation

BISECTED = 1e-6
"""How far a bound may be off: it is found by bisection."""

Results = Mapping[ModelName, Mapping[str, BenchmarkResult]]
"""Model → benchmark → what it scored; of base, SFT model and candidate at least."""


def compared_again(report: Report, config: RunConfig, results: Results) -> Iterator[ReportFinding]:
    """One finding for each comparison that the report makes, and for each that it should and does not."""
    named = {f"candidate - {other}": other for other in results if other != "candidate"}
    for told in report.verdict.comparisons:
        yield _comparison(told, named.get(told.name), results)
    made = {(told.name, told.benchmark) for told in report.verdict.comparisons}
    for name, benchmark in _asked(config, results, named):
        if (name, benchmark) not in made:
            yield differs(f"{name}, {benchmark}: the report leaves it out")


def _asked(config: RunConfig, results: Results, named: Mapping[str, ModelName]) -> Iterator[tuple[str, str]]:
    """With all models on the gate's benchmarks, and with the SFT model on the others."""
    gated = [asked.benchmark for asked in config.gate.benchmarks]
    yield from ((name, benchmark) for benchmark in gated for name in named)
    yield from (("candidate - sft", benchmark) for benchmark in results["candidate"] if benchmark not in gated)


def _comparison(told: AccuracyDifference, other: ModelName | None, results: Results) -> ReportFinding:
    where = f"{told.name}, {told.benchmark}"
    if other is None:
        return differs(f"{where}: there are no such two evaluations")
    try:
        own, others = (_result(results[model], told.benchmark) for model in ("candidate", other))
        found = paired_difference(own, others)
    except GiftError as fault:
        return differs(f"{where}: {fault}")
    again = AccuracyDifference(
        name=told.name,
        benchmark=told.benchmark,
        difference=found.mean,
        stderr=found.stderr,
        n=found.n,
        confidence_low=found.low,
        confidence_high=found.high,
        confidence=INTERVAL_CONFIDENCE,
    )
    shown = f"{where}: {100 * found.mean:+.2f} points ({100 * found.low:+.2f} to {100 * found.high:+.2f})"
    faults = unequal(told.model_dump(), again.model_dump(), "the report", "by the answers", BISECTED)
    return differs(f"{shown}; {some_of(faults)}") if faults else holds(shown)


def _result(results: Mapping[str, BenchmarkResult], benchmark: str) -> BenchmarkResult:
    """Raises: GiftError: there is none."""
    if benchmark not in results:
        raise GiftError(f"there is no result of {benchmark}")
    return results[benchmark]


def decided_again(report: Report, config: RunConfig, results: Results) -> ReportFinding:
    """What the gate says to the results, beside what it said and what the report says that it said."""
    try:
        kept = _kept_verdict(report, config)
        champion = _champion(report, kept, results)
    except GiftError as fault:
        return unknown(f"verdict: not computed again: {fault}")
    try:
        base, sft, candidate = results["base"], results["sft"], results["candidate"]
        again = decide(config.gate, base=base, sft=sft, candidate=candidate, champion=champion, opponent=kept.champion)
    except GiftError as fault:
        return differs(f"verdict: {fault}")
    told = report.verdict
    if again.decision != kept.decision:
        return differs(f"verdict: {again.decision} by the answers, and the gate said {kept.decision}")
    if told.decision != again.decision or (told.promoted and again.decision != "promote"):
        said = "promoted" if told.promoted else told.decision
        return differs(f"verdict: the report says {said}, and the gate {again.decision}")
    faults = unequal(
        {"promoted": told.promoted, "champion": told.champion},
        {
            "promoted": again.decision == "promote" and report.registry.alias == "champion",
            "champion": kept.champion.version if kept.champion else None,
        },
        "the report",
        "by the gate and the version's alias",
    )
    if faults:
        return differs(f"verdict: {some_of(faults)}")
    if not _gives_reasons(report, again):
        return differs("verdict: the same decision, for other reasons than the report gives")
    return holds(f"verdict: {again.decision}")


def _gives_reasons(report: Report, again: Verdict) -> bool:
    """One more says why a version is not champion although the gate was for it."""
    told, said = report.verdict, (again.sentence, *again.reasons)
    more = again.decision == "promote" and not told.promoted
    return told.reasons[: len(said)] == said and len(told.reasons) == len(said) + more


def _kept_verdict(report: Report, config: RunConfig) -> Verdict:
    with downloaded(f"{config.storage.uri}/runs/{report.run_id}/verdict") as folder:
        return load_document(Verdict, folder / VERDICT_FILE)


def _champion(report: Report, kept: Verdict, results: Results) -> Mapping[str, BenchmarkResult] | NotComparable | None:
    """What the gate compared with.

    Raises:
        GiftError: the report does not name its evaluation, or the store does not have it any more.
    """
    if kept.champion is None:
        return None
    if kept.incomparable is not None:
        return NotComparable(kept.incomparable)
    return results["champion"] if "champion" in results else stored_evaluation(report, "champion").results

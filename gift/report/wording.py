"""How the report words its numbers: the same labels and the same rounding in HTML, terminal and Markdown.

Left out: anything about layout.
"""

import math

from gift.config import PARTIAL
from gift.report.schema import AccuracyDifference, GivenAnswer, ModelName, Report, Score

_ALGORITHMS = {
    "gift": "GIFT",
    "grpo": "GRPO",
    "gvpo": "GVPO",
    "dpo": "DPO",
    "una": "UNA",
    "dr_grpo": "Dr. GRPO",
    "dapo": "DAPO",
    "gspo": "GSPO",
    "cispo": "CISPO",
    "oapl": "OAPL",
}

GAIN = "candidate - sft"
"""The comparison that says what training added to the model it started from."""

_SETS = {
    "heldout": "Held-out",
    "gsm8k": "GSM8K",
    "math": "MATH",
    "math500": "MATH-500",
    "aime24": "AIME 2024",
    "aime25": "AIME 2025",
    "amc23": "AMC 2023",
    "fresh": "Fresh arithmetic",
}
"""What the name of a benchmark begins with → how people call these problems."""
_WAYS = {"": "", "_greedy": ", greedy", "_sampled": ", sampled", PARTIAL: ", rest of the problem"}
"""What it ends with."""


def benchmark_label(name: str) -> str:
    """A benchmark's name for people; lm-eval's own name where there is no better one."""
    if name == "heldout":
        return "Held-out, greedy"
    problems, underscore, way = name.partition("_")
    known = problems in _SETS and underscore + way in _WAYS
    return _SETS[problems] + _WAYS[underscore + way] if known else name


def _problems(benchmark: str) -> str:
    """`GSM8K problems (sampled answers)`."""
    if benchmark_label(benchmark) == benchmark:
        return f"{benchmark} problems"
    problems, _, way = benchmark.partition("_")
    called = _SETS[problems]
    called = called.lower() if problems == "heldout" else called
    return f"{called} problems{' (sampled answers)' if way == 'sampled' else ''}"


def candidate_label(report: Report) -> str:
    """The candidate is called by its algorithm; reports older than the key `algorithm` are all of GIFT."""
    algorithm = str(report.config.get("algorithm", "gift"))
    return _ALGORITHMS.get(algorithm, algorithm)


def model_labels(report: Report) -> dict[ModelName, str]:
    """The models' names for people, in the order of training; a champion only where it was evaluated."""
    champion: dict[ModelName, str] = {"champion": "Champion"} if "champion" in report.models else {}
    return {"base": "Base", "sft": "SFT", **champion, "candidate": candidate_label(report)}


def comparison_label(report: Report, comparison: AccuracyDifference) -> str:
    """`candidate - sft` → `GIFT − SFT`."""
    labels = {"champion": "Champion"} | {str(model): label for model, label in model_labels(report).items()}
    return " − ".join(labels.get(name, name) for name in comparison.name.split(" - "))


def alias_label(report: Report) -> str:
    """The alias of the registered version, or `no alias`."""
    return report.registry.alias or "no alias"


def champion_note(report: Report) -> str:
    """Who the champion is, in a sentence; empty where none was evaluated."""
    if "champion" not in report.models:
        return ""
    version = f": version {report.verdict.champion} of {report.registry.model}" if report.verdict.champion else ""
    return f"Champion{version}, which reigned when the gate decided, evaluated as the others."


def percent(share: float) -> str:
    """0.632 → `63.2`; the caller adds the sign where there is room for it."""
    return f"{100 * share:.1f}"


def signed(share: float) -> str:
    """A difference in percentage points: 0.214 → `+21.4`, −0.031 → `−3.1`, 0 → `0.0`."""
    text = percent(share)
    if float(text) == 0:
        return "0.0"
    return text.replace("-", "−") if share < 0 else f"+{text}"


def score_text(score: Score | None) -> str:
    """`63.2 ± 2.1 %`, or a dash where the model was not evaluated."""
    return f"{percent(score.accuracy)} ± {percent(score.stderr)} %" if score else "–"


def mark_text(given: GivenAnswer) -> str:
    """`✓ right` and `✗ wrong` for one answer, and how much of several was right: `62.5 % of 8 right`."""
    if given.samples > 1:
        return f"{percent(given.score)}\u00a0% of {given.samples} right"
    return "✓ right" if given.score == 1.0 else "✗ wrong"


def interval_text(comparison: AccuracyDifference) -> str:
    """The confidence interval of a difference: `+16.9 to +25.9`."""
    return f"{signed(comparison.confidence_low)} to {signed(comparison.confidence_high)}"


def confidence_label(comparison: AccuracyDifference) -> str:
    """`95 %`, which no line break parts."""
    return f"{100 * comparison.confidence:g}\u00a0%"


def gain(report: Report, benchmark: str) -> AccuracyDifference | None:
    """The paired comparison of candidate and SFT on one benchmark, where the gate or the evaluation made it."""
    found = (c for c in report.verdict.comparisons if (c.name, c.benchmark) == (GAIN, benchmark))
    return next(found, None)


def gain_text(report: Report, benchmark: str) -> str:
    """`+21.4 (+16.9 to +25.9)`; without the interval where no paired comparison was made, a dash without scores."""
    comparison = gain(report, benchmark)
    if comparison:
        return f"{signed(comparison.difference)} ({interval_text(comparison)})"
    difference = plain_difference(report, benchmark)
    return "–" if difference is None else signed(difference)


def plain_difference(report: Report, benchmark: str) -> float | None:
    """candidate − SFT from the two accuracies alone."""
    candidate, sft = (report.models.get(name, {}).get(benchmark) for name in ("candidate", "sft"))
    return candidate.accuracy - sft.accuracy if candidate and sft else None


def contamination_text(report: Report, benchmark: str) -> str:
    """`3 trained on, 14 overlap, 2.5 % known by heart`: of the benchmark's problems; empty where nobody knows."""
    found, by_heart = report.overlap(benchmark), report.known_by_heart(benchmark)
    parts = [f"{found.trained_on:,} trained on", f"{found.overlapping:,} overlap"] if found else []
    return ", ".join([*parts, *([f"{percent(by_heart.accuracy)}\u00a0% known by heart"] if by_heart else [])])


def duration(seconds: float) -> str:
    """`0.4 s`, `42 s`, `3 min 05 s` or `1 h 12 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def hours(amount: float) -> str:
    """Of cores or GPUs, with two digits that count: `0.0042`, `1.2`, `340`; a dash for none."""
    if amount <= 0:
        return "–"
    digits = max(0, 1 - math.floor(math.log10(amount)))
    return f"{amount:,.{digits}f}"


def verdict_sentence(report: Report) -> str:
    """The result in one sentence: promoted or not, by how much, how sure, on how many problems."""
    undecided = "Undecided, so not promoted" if report.verdict.decision == "undecided" else "Not promoted"
    outcome = "Promoted" if report.verdict.promoted else undecided
    comparison = next((c for c in report.verdict.comparisons if c.name == GAIN), None)
    if comparison is None:
        return f"{outcome}: {' '.join(report.verdict.reasons)}" if report.verdict.reasons else f"{outcome}."
    problems = f"{comparison.n:,} {_problems(comparison.benchmark)}"
    name, score = candidate_label(report), report.models.get("candidate", {}).get(comparison.benchmark)
    solved = (
        f"{name} solves {percent(score.accuracy)}\u00a0% of {problems}" if score else f"on {problems}, {name} solves"
    )
    size = f"{percent(abs(comparison.difference))}\u00a0±\u00a0{percent(comparison.stderr)} percentage points"
    direction = "fewer" if comparison.difference < 0 else "more"
    chance = not report.verdict.promoted and comparison.confidence_low <= 0 <= comparison.confidence_high
    return (
        f"{outcome}: {solved}{',' if score else ''} {size} {direction} than the SFT model it started from"
        f"{', which may be chance' if chance else ''}."
    )

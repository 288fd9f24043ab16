"""The few figures of a run by which people sort MLflow's table of runs.

Left out: curves and secondary metrics, which the stages' own runs have.
"""

from gift.report.schema import Report
from gift.report.wording import gain


def headline_figures(report: Report) -> dict[str, float]:
    """Name → value: accuracies with their errors, gains over the SFT model with their lower ends, verdict, seconds, and
    the tokens of the training.
    """
    figures = {"promoted": float(report.verdict.promoted), "seconds": sum(report.seconds.values())}
    for model, scores in report.models.items():
        for benchmark, score in scores.items():
            figures |= {f"{benchmark}/{model}": score.accuracy, f"{benchmark}/{model}_stderr": score.stderr}
    for benchmark in report.benchmarks:
        if found := gain(report, benchmark):
            figures |= {f"{benchmark}/gain": found.difference, f"{benchmark}/gain_low": found.confidence_low}
    if tokens := report.curves.get("train-policy", {}).get("num_tokens", ()):
        figures["tokens"] = float(tokens[-1][1] or 0.0)
    return figures

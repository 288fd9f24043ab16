"""Stage: benchmark results → verdict. Whether the candidate may become champion is decided here and nowhere else."""

from pathlib import Path

from gift.evaluation.results import BenchmarkResult
from gift.execution.stage import Stage
from gift.gate.verdict import VERDICT_FILE, NotComparable, Verdict, decide
from gift.report.files import load_document
from gift.stages.evaluate import read_results
from gift.stages.evaluate_champion import ReigningChampion, read_champion


def gate(stage: Stage, base_results: str, sft_results: str, candidate_results: str, champion: str) -> str:
    """`champion` is what `evaluate_champion` returned. Returns: URI of a folder with verdict.json."""
    evaluations = [base_results, sft_results, candidate_results]

    def make(folder: Path) -> dict[str, str]:
        base, sft, candidate = (read_results(stage, uri) for uri in evaluations)
        reigning = read_champion(stage, champion)
        verdict = decide(
            stage.config.gate,
            base=base,
            sft=sft,
            candidate=candidate,
            champion=_results_of_champion(stage, reigning),
            opponent=reigning.opponent,
        )
        (folder / VERDICT_FILE).write_text(verdict.model_dump_json(indent=2), encoding="utf-8")
        for reason in verdict.reasons:
            print(f"  {reason}", flush=True)
        print(f"  verdict: {verdict.decision}. {verdict.sentence}", flush=True)
        return {}

    uri = stage.make_for_run("verdict", [*evaluations, champion], make)
    stage.tracking.set_tags({"gift.decision": read_verdict(stage, uri).decision})
    return uri


def read_verdict(stage: Stage, verdict: str) -> Verdict:
    """The verdict at a URI that `gate` returned."""
    with stage.fetched(verdict) as (folder,):
        return load_document(Verdict, folder / VERDICT_FILE)


def _results_of_champion(stage: Stage, reigning: ReigningChampion) -> dict[str, BenchmarkResult] | NotComparable | None:
    if reigning.lost is not None:
        return NotComparable(reigning.lost)
    return read_results(stage, reigning.evaluation) if reigning.evaluation else None

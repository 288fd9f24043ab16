"""Stage: benchmark results → verdict. Whether the candidate may become champion is decided here and nowhere else."""

from pathlib import Path

from gift import registry
from gift.errors import GiftError
from gift.evaluation.gate import VERDICT_FILE, Opponent, Verdict, decide
from gift.evaluation.results import RESULTS_FILE, BenchmarkResult, load_results
from gift.execution.stage import Stage
from gift.report.files import load_document
from gift.stages.champion import champion_result


def gate(stage: Stage, base_results: str, sft_results: str, candidate_results: str) -> str:
    """Returns: URI of a folder with verdict.json."""
    config, evaluations = stage.config, [base_results, sft_results, candidate_results]

    def make(folder: Path) -> dict[str, str]:
        base, sft, candidate = (_gated_result(stage, uri) for uri in evaluations)
        champion = stage.patiently(lambda: registry.champion(config.registered_model))
        champions = stage.patiently(lambda: champion_result(config, champion)) if champion else None
        verdict = decide(
            config.gate,
            base=base,
            sft=sft,
            candidate=candidate,
            champion=champions,
            opponent=Opponent(model=config.registered_model, version=champion.version) if champion else None,
        )
        (folder / VERDICT_FILE).write_text(verdict.model_dump_json(indent=2), encoding="utf-8")
        for reason in verdict.reasons:
            print(f"  {reason}", flush=True)
        print(f"  verdict: {_in_words(verdict)}", flush=True)
        return {}

    uri = stage.make_for_run("verdict", evaluations, make)
    stage.tracking.set_tags({"gift.promote": str(read_verdict(stage, uri).promote).lower()})
    return uri


def read_verdict(stage: Stage, verdict: str) -> Verdict:
    """The verdict at a URI that `gate` returned."""
    with stage.fetched(verdict) as (folder,):
        return load_document(Verdict, folder / VERDICT_FILE)


def _gated_result(stage: Stage, evaluation: str) -> BenchmarkResult:
    """The result that the gate judges, from the URI of an evaluation of this run."""
    benchmark = stage.config.gate.benchmark
    with stage.fetched(evaluation) as (folder,):
        results = load_results(folder / RESULTS_FILE, origin=f"{evaluation}/{RESULTS_FILE}")
    if benchmark not in results:
        raise GiftError(f"{evaluation} has no result of gate.benchmark ({benchmark}); evaluate the model on it")
    return results[benchmark]


def _in_words(verdict: Verdict) -> str:
    if not verdict.comparable:
        return "not comparable, the candidate stays challenger"
    return "promote" if verdict.promote else "keep the champion"

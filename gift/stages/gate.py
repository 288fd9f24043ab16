"""Stage: benchmark results → verdict. Whether the candidate may become champion is decided here and nowhere else."""

from pathlib import Path

from gift import registry
from gift.errors import GiftError
from gift.evaluation.gate import Verdict, decide
from gift.evaluation.results import RESULTS_FILE, BenchmarkResult, load_results
from gift.stages.stage import Stage

VERDICT_FILE = "verdict.json"
EVALUATION_TAG = "gift.evaluation"
"""Tag of a model version: the URI of the results it was judged by."""


def gate(stage: Stage, sft_results: str, candidate_results: str) -> str:
    """Returns: URI of a folder with verdict.json."""
    config = stage.config
    champion = registry.champion(config.registered_model)
    champion_results = champion.tags.get(EVALUATION_TAG) if champion else None
    if champion and not champion_results:
        raise GiftError(
            f"champion version {champion.version} of {config.registered_model} has no tag {EVALUATION_TAG}, so nothing "
            "can be compared with it; remove its alias champion, or set the tag to the URI of its evaluation"
        )

    def make(folder: Path) -> dict[str, str]:
        verdict = decide(
            config.gate,
            sft=read_benchmark(stage, sft_results),
            candidate=read_benchmark(stage, candidate_results),
            champion=read_benchmark(stage, champion_results) if champion_results else None,
        )
        (folder / VERDICT_FILE).write_text(verdict.model_dump_json(indent=2), encoding="utf-8")
        for reason in verdict.reasons:
            print(f"  {reason}", flush=True)
        print(f"  verdict: {'promote' if verdict.promote else 'keep the champion'}", flush=True)
        return {}

    uri = stage.make_for_run("verdict", [sft_results, candidate_results], make)
    stage.tracking.set_tags({"gift.promote": str(read_verdict(stage, uri).promote).lower()})
    return uri


def read_benchmark(stage: Stage, results: str) -> BenchmarkResult:
    """The result that the gate judges, from the URI of an evaluation."""
    with stage.fetched(results) as (folder,):
        return load_results(folder / RESULTS_FILE)[stage.config.gate.benchmark]


def read_verdict(stage: Stage, verdict: str) -> Verdict:
    """The verdict at a URI that `gate` returned."""
    with stage.fetched(verdict) as (folder,):
        return Verdict.model_validate_json((folder / VERDICT_FILE).read_text(encoding="utf-8"))

"""A run that was evaluated by real models, its outputs in a real store, and a report of it."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from gift.config import PromptFormat, RunConfig, load_profile
from gift.data.problems import write_problems
from gift.data.splits import SPLITS
from gift.evaluation.answers import ANSWERS_FILE, Answer, by_problem, write_answers
from gift.evaluation.harness import evaluate_model
from gift.evaluation.results import RESULTS_FILE, BenchmarkResult, save_results
from gift.execution.output import complete_manifest
from gift.fingerprint.files import sha256_of
from gift.gate.paired import PairedDifference
from gift.gate.verdict import VERDICT_FILE, BenchmarkVerdict, Opponent, decide
from gift.report.answer_changes import changed_answers
from gift.report.schema import (
    REPORT_FOLDER,
    AccuracyDifference,
    Artifact,
    BenchmarkOverlap,
    DataSet,
    RegisteredVersion,
    Report,
    ReportedVerdict,
    Sample,
    Score,
    StageCost,
    save_report,
)
from gift.storage import upload_directory
from pipelines.local.services import Services
from tests.gift.evaluation.rote_model import KEYS, PROMPT, no_progress, says, write_rote_model
from tests.gift.verification.stored_reports import MODELS, WRONG, Claim, Store


@pytest.fixture(scope="package")
def config() -> RunConfig:
    benchmarks = (
        "[{task: heldout, max_new_tokens: 24}, {task: heldout_sampled, samples: 4, max_new_tokens: 24}, "
        "{task: heldout_partial, max_new_tokens: 8}]"
    )
    asked = "[{benchmark: heldout, at_least: 0.0}, {benchmark: heldout_sampled, not_worse_than: 0.5}]"
    gate = f"gate={{benchmarks: {asked}, confidence: 0.8}}"
    return load_profile("local", (f"evaluation.benchmarks={benchmarks}", "evaluation.threads=1", gate))


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verification")
    for split in SPLITS:
        write_problems(folder / f"data/{split}.jsonl", KEYS)
    (folder / "model").mkdir()
    write_rote_model(folder / "model")
    return folder


@pytest.fixture(scope="package")
def evaluated(config: RunConfig, folder: Path) -> dict[str, tuple[dict[str, BenchmarkResult], list[Answer]]]:
    """The base model knows nothing, the SFT model every second answer; the candidate is the model itself."""
    found = {}
    for name in MODELS:
        with pytest.MonkeyPatch.context() as patch:
            if name != "candidate":
                said = iter(range(10_000))
                every = 2 if name == "sft" else 10_000

                def answer(_, asked, said=said, every=every):
                    return [_right(one) if next(said) % every == 1 else WRONG for one in asked]

                says(patch, answer)
            found[name] = evaluate_model(
                folder / "model",
                folder / "data",
                config.evaluation.of_model(base=name == "base"),
                PromptFormat(template=PROMPT),
                config.seed,
                torch.device("cpu"),
                no_progress,
            )
    return found


def _right(request) -> str:
    return f"#### {request.doc['final_answer']}"


COUNTS = {f"rows.{split}": str(len(KEYS)) for split in SPLITS} | {
    f"contamination.heldout.{name}": str(count)
    for name, count in (("problems", 8), ("trained_on", 8), ("overlapping", 8))
}


@pytest.fixture
def prefix(services: Services, tmp_path: Path) -> str:
    return f"s3://gift/verification/{tmp_path.name}"


@pytest.fixture
def claimed(prefix: str, tmp_path: Path) -> Claim:
    """Stores a report as the run's own: the run itself says so."""

    def claim(report: Report) -> Report:
        save_report(report, tmp_path / "own/report.json")
        upload_directory(tmp_path / "own", f"{prefix}/runs/{report.run_id}/{REPORT_FOLDER}", replace=True)
        return report

    return claim


@pytest.fixture
def store(prefix: str, claimed: Claim, config: RunConfig, folder: Path, evaluated, tmp_path: Path) -> Store:
    """Stores a run's evaluations, each changed by a function of results and answers, and its report, and returns it."""

    def put(name: str, source: Path, metadata: dict[str, str] | None = None) -> Artifact:
        made = upload_directory(source, f"{prefix}/{name}", replace=True, metadata=metadata)
        return Artifact(uri=f"{prefix}/{name}", digest=made.digest())

    def make(change: Callable | None = None, *, reigns: bool = False) -> Report:
        own = config.model_copy(update={"storage": config.storage.model_copy(update={"uri": prefix})})
        artifacts = {
            "prepare-data": put("data", folder / "data", COUNTS),
            "convert-candidate": put("model", folder / "model"),
        }
        for name, (results, answers) in evaluated.items():
            target = tmp_path / name
            target.mkdir(exist_ok=True)
            changed = change(name, dict(results), list(answers)) if change else (results, answers)
            save_results(target / RESULTS_FILE, changed[0])
            write_answers(target / ANSWERS_FILE, changed[1])
            artifacts[f"evaluate-{name}"] = put(f"evaluation-{name}", target)
        gated = {name: results for name, (results, _) in evaluated.items()}
        champion = evaluated["sft"][0] if reigns else None
        if reigns:
            artifacts["evaluate-champion"] = artifacts["evaluate-sft"]
        opponent = Opponent(model="m", version="1") if reigns else None
        verdict = decide(own.gate, gated["base"], gated["sft"], gated["candidate"], champion, opponent)
        (tmp_path / "verdict").mkdir(exist_ok=True)
        (tmp_path / "verdict" / VERDICT_FILE).write_text(verdict.model_dump_json())
        put("runs/a-run/verdict", tmp_path / "verdict")
        reported = gated | ({"champion": champion} if champion else {})
        shown, counts = changed_answers(*(by_problem(evaluated[name][1]) for name in ("sft", "candidate")))
        report = Report(
            run_id="a-run",
            profile="a profile",
            finished=datetime.now(UTC),
            models={name: {task: _score(r) for task, r in results.items()} for name, results in reported.items()},
            verdict=ReportedVerdict(
                promoted=verdict.decision == "promote",
                decision=verdict.decision,
                reasons=(verdict.sentence, *verdict.reasons),
                comparisons=tuple(
                    _comparison(said, other, difference)
                    for said in verdict.benchmarks
                    for other, difference in said.comparisons.items()
                ),
                champion=verdict.champion.version if verdict.champion else None,
            ),
            registry=RegisteredVersion(
                model=own.registered_model,
                version="1",
                alias="champion",
                source=_folder(artifacts["convert-candidate"]),
            ),
            seconds={"train-policy": 60.0},
            cost={"train-policy": StageCost(cpu_hours=1.0, gpu_hours=0.0)},
            curves={"train-policy": {"reward": ((0, 0.25), (1, 0.5))}},
            samples=_samples(reported),
            answer_changes=counts,
            answered_twice=shown,
            data={
                split: DataSet(
                    uri=f"{_folder(artifacts['prepare-data'])}/{split}.jsonl",
                    digest=sha256_of(folder / f"data/{split}.jsonl"),
                    rows=len(KEYS),
                )
                for split in SPLITS
            },
            contamination={"heldout": BenchmarkOverlap(problems=8, trained_on=8, overlapping=8)},
            artifacts=artifacts,
            provenance={"git_sha": "0" * 40},
            config=own.model_dump(mode="json"),
        )
        return claimed(report)

    return make


def _folder(artifact: Artifact) -> str:
    return complete_manifest(artifact.uri).folder(artifact.uri)


def _samples(reported: dict[str, dict[str, BenchmarkResult]]) -> tuple[Sample, ...]:
    """Every model is asked the same problems first."""
    beside = zip(*(results["heldout"].samples for results in reported.values()), strict=True)
    return tuple(
        Sample(
            question=one[0].question,
            final_answer=one[0].final_answer,
            completions={model: said.completion.strip() for model, said in zip(reported, one, strict=True)},
            correct={model: said.correct == 1.0 for model, said in zip(reported, one, strict=True)},
        )
        for one in beside
    )


def _score(result: BenchmarkResult) -> Score:
    return Score(
        accuracy=result.accuracy,
        stderr=result.stderr,
        n=result.n,
        metrics=result.secondary,
        settings=result.settings.model_dump(mode="json"),
    )


def _comparison(said: BenchmarkVerdict, other: str, found: PairedDifference) -> AccuracyDifference:
    return AccuracyDifference(
        name=f"candidate - {other}",
        benchmark=said.benchmark,
        difference=found.mean,
        stderr=found.stderr,
        n=found.n,
        confidence_low=found.low,
        confidence_high=found.high,
    )

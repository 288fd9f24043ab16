"""Gate and registration on the real servers: the alias champion moves when the verdict says so, and only then."""

import uuid
from pathlib import Path

import pytest

from gift import registry
from gift.config import RunConfig, load_profile
from gift.evaluation.results import RESULTS_FILE, BenchmarkResult, EvaluationSettings, save_results
from gift.stages.gate import gate
from gift.stages.register import register
from gift.stages.stage import run_stage
from gift.storage import upload_directory
from gift.tracking import start_parent_run

PROBLEMS = 40


@pytest.fixture
def config(bucket_prefix: str) -> RunConfig:
    name = f"test-{uuid.uuid4().hex[:8]}"
    return load_profile("local", (f"storage.uri={bucket_prefix}", f"registered_model={name}"))


def _results(folder: Path, uri: str, solved: int, problems: int = PROBLEMS) -> str:
    settings = EvaluationSettings(
        lm_eval_version="0", task_version="0", fewshot_count=0, samples=1, decoding={}, precision="fp32",
        batch_size=1, limit=None, seed=0,
    )  # fmt: skip
    correct = tuple([1.0] * solved + [0.0] * (problems - solved))
    result = BenchmarkResult(
        task="heldout",
        accuracy=solved / problems,
        stderr=0.1,
        n=problems,
        ids=tuple(f"p{i}" for i in range(problems)),
        correct=correct,
        secondary={},
        settings=settings,
        samples=(),
    )
    save_results(folder / RESULTS_FILE, {"heldout": result})
    upload_directory(folder, uri)
    return uri


class Candidates:
    """Judges and registers made-up candidates of one registered model, one after the other."""

    def __init__(self, config: RunConfig, folder: Path) -> None:
        self.config = config
        self.folder = folder
        self.count = 0

    def submit(self, *, sft: int, candidate: int, problems: int = PROBLEMS) -> str:
        self.count += 1
        base = f"{self.config.storage.uri}/{self.count}"
        model = self.folder / f"model-{self.count}"
        model.mkdir()
        (model / "config.json").write_text(str(self.count))
        upload_directory(model, f"{base}/model")
        run_id = f"test-{uuid.uuid4().hex}"
        shared = {
            "config": self.config.model_dump_json(),
            "run_id": run_id,
            "parent_run_id": start_parent_run(self.config, run_id),
        }
        folders = {name: self.folder / f"{name}-{self.count}" for name in ("sft", "candidate")}
        candidate_results = _results(folders["candidate"], f"{base}/candidate", candidate, problems)
        verdict = run_stage(
            gate,
            **shared,
            sft_results=_results(folders["sft"], f"{base}/sft", sft, problems),
            candidate_results=candidate_results,
        )
        return run_stage(
            register, **shared, model=f"{base}/model", candidate_results=candidate_results, verdict=verdict
        )

    def champion(self) -> str | None:
        found = registry.champion(self.config.registered_model)
        return found.version if found else None


def test_only_a_better_candidate_becomes_champion(config: RunConfig, tmp_path: Path) -> None:
    candidates = Candidates(config, tmp_path)

    candidates.submit(sft=20, candidate=20)
    assert candidates.champion() is None  # no better than its SFT model

    second = candidates.submit(sft=10, candidate=25)
    assert candidates.champion() == second
    champion = registry.champion(config.registered_model)
    assert champion is not None
    assert champion.source_uri == f"{config.storage.uri}/2/model"

    candidates.submit(sft=5, candidate=12)  # beats its SFT model, but is worse than the champion
    assert candidates.champion() == second

    fourth = candidates.submit(sft=10, candidate=30)
    assert candidates.champion() == fourth

    candidates.submit(sft=1, candidate=30, problems=30)  # judged on other problems: nobody can tell
    assert candidates.champion() == fourth


def test_a_champion_without_its_evaluation_stops_the_gate(
    config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = registry.register(config.registered_model, f"{config.storage.uri}/by-hand", "", {})
    registry.promote(config.registered_model, version)
    with pytest.raises(SystemExit):
        Candidates(config, tmp_path).submit(sft=10, candidate=30)
    assert "has no tag gift.evaluation" in capsys.readouterr().err

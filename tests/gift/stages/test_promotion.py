"""Gate and registration on the real servers: the alias champion moves when the verdict says so, and only then."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from gift import registry
from gift.config import RunConfig, load_profile
from gift.data.splits import SPLITS
from gift.evaluation.gate import Verdict
from gift.evaluation.results import RESULTS_FILE, BenchmarkResult, EvaluationSettings, save_results
from gift.execution.stage import run_stage
from gift.report.schema import Report, load_report
from gift.stages.champion import EVALUATION_TAG
from gift.stages.gate import VERDICT_FILE, gate
from gift.stages.lifecycle import start_run
from gift.stages.register import NOT_PROMOTED_TAG, register
from gift.stages.report import report
from gift.storage import delete_directory, download_directory, upload_directory
from gift.storage.client import connect
from gift.tracking import start_parent_run
from pipelines.machine.processes import free_ports

PROBLEMS = 40


@pytest.fixture
def config(bucket_prefix: str) -> RunConfig:
    name = f"test-{uuid.uuid4().hex[:8]}"
    return load_profile("local", (f"storage.uri={bucket_prefix}", f"registered_model={name}"))


def _result(solved: int, problems: int = PROBLEMS, task: str = "heldout") -> BenchmarkResult:
    settings = EvaluationSettings(
        lm_eval_version="0", task_version="0", fewshot_count=0, samples=1, decoding={}, precision="fp32",
        batch_size=1, limit=None, seed=0,
    )  # fmt: skip
    return BenchmarkResult(
        task=task,
        accuracy=solved / problems,
        stderr=0.1,
        n=problems,
        ids=tuple(f"p{i}" for i in range(problems)),
        correct=tuple([1.0] * solved + [0.0] * (problems - solved)),
        secondary={},
        settings=settings,
        samples=(),
    )


class Candidates:
    """Judges and registers made-up candidates of one registered model, one after the other."""

    def __init__(self, config: RunConfig, folder: Path) -> None:
        self.config = config
        self.folder = folder
        self.count = 0
        self.meanwhile: Callable[[], None] = lambda: None
        """What others do between the gate and the registration."""

    def submit(self, *, sft: int, candidate: int, problems: int = PROBLEMS, model: str | None = None) -> str:
        """Judge and register the `model` (a new one, if None). Returns: the version."""
        self.count += 1
        self.base = f"{self.config.storage.uri}/{self.count}"
        self.model = model or self._upload("model", {"config.json": str(self.count)})
        self.run_id = f"test-{uuid.uuid4().hex}"
        self.shared = {
            "config": self.config.model_dump_json(),
            "run_id": self.run_id,
            "parent_run_id": start_parent_run(self.config, self.run_id),
        }
        self.sft_results = self.evaluation("sft", {"heldout": _result(sft, problems)})
        self.candidate_results = self.evaluation("candidate", {"heldout": _result(candidate, problems)})
        self.verdict_uri = run_stage(
            gate, **self.shared, sft_results=self.sft_results, candidate_results=self.candidate_results
        )
        self.meanwhile()
        return self.register_again()

    def register_again(self) -> str:
        """The task of the last candidate, as a retry would run it."""
        return run_stage(
            register,
            **self.shared,
            model=self.model,
            candidate_results=self.candidate_results,
            verdict=self.verdict_uri,
        )

    def evaluation(self, name: str, results: dict[str, BenchmarkResult]) -> str:
        """URI of an evaluation with these results."""
        folder = self.folder / f"{name}-{uuid.uuid4().hex}"
        save_results(folder / RESULTS_FILE, results)
        uri = f"{self.config.storage.uri}/{self.count}/{name}"
        upload_directory(folder, uri)
        return uri

    def verdict(self) -> Verdict:
        folder = self.folder / f"verdict-{uuid.uuid4().hex}"
        download_directory(self.verdict_uri, folder)
        return Verdict.model_validate_json((folder / VERDICT_FILE).read_text())

    def report(self, version: str) -> Report:
        """The report of the last candidate's run."""
        data = f"{self.base}/data"
        folder = self.folder / f"data-{self.count}"
        folder.mkdir()
        for split in SPLITS:
            (folder / f"{split}.jsonl").write_text("{}")
        upload_directory(folder, data, metadata={f"rows.{split}": "1" for split in SPLITS})
        uri = run_stage(
            report,
            **self.shared,
            data=data,
            base_results=self.sft_results,
            sft_results=self.sft_results,
            candidate_results=self.candidate_results,
            verdict=self.verdict_uri,
            model=self.model,
            version=version,
        )
        download_directory(uri, self.folder / f"report-{self.count}")
        return load_report(self.folder / f"report-{self.count}" / "report.json")

    def champion(self) -> str | None:
        found = registry.champion(self.config.registered_model)
        return found.version if found else None

    def _upload(self, name: str, files: dict[str, str]) -> str:
        folder = self.folder / f"{name}-{self.count}"
        folder.mkdir()
        for file, text in files.items():
            (folder / file).write_text(text)
        upload_directory(folder, f"{self.base}/{name}")
        return f"{self.base}/{name}"


@pytest.fixture
def candidates(config: RunConfig, tmp_path: Path) -> Candidates:
    return Candidates(config, tmp_path)


def test_only_a_better_candidate_becomes_champion(config: RunConfig, candidates: Candidates) -> None:
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


# --- a champion that nothing can be compared with ------------------------------------------------------------------


def _by_hand(candidates: Candidates, tags: dict[str, str]) -> str:
    """A champion that somebody registered and promoted without the gate."""
    name = candidates.config.registered_model
    version = registry.register(name, f"{candidates.config.storage.uri}/by-hand", "", tags)
    registry.promote(name, version, instead_of=None)
    return version


def _no_tag(candidates: Candidates) -> str:
    _by_hand(candidates, {})
    return "has no tag gift.evaluation"


def _no_address(candidates: Candidates) -> str:
    _by_hand(candidates, {EVALUATION_TAG: "/home/me/results"})
    return "does not name a directory in S3"


def _no_bucket(candidates: Candidates) -> str:
    _by_hand(candidates, {EVALUATION_TAG: "s3://gone-for-good/evaluation"})
    return "bucket gone-for-good does not exist"


def _no_evaluation(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    delete_directory(candidates.candidate_results)
    return "is not complete"


def _damaged_evaluation(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    _overwrite(candidates.candidate_results, b"{}")
    return "its manifest says"


def _damaged_manifest(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    _overwrite(candidates.candidate_results, b"[]", "manifest.json")
    return "manifest.json is not valid"


def _missing_object(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    _overwrite(candidates.candidate_results, None)
    return "is missing although the manifest lists it"


def _another_file(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    return _replace_evaluation(candidates, "scores.json", "{}", "do not exist")


def _older_schema(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    old = _result(25).model_dump(mode="json")
    del old["settings"]["precision"]
    return _replace_evaluation(candidates, RESULTS_FILE, json.dumps({"heldout": old}), "heldout.settings.precision")


def _impossible_scores(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    foreign = _result(25).model_dump(mode="json") | {"correct": [63.2] * PROBLEMS}
    return _replace_evaluation(candidates, RESULTS_FILE, json.dumps({"heldout": foreign}), "heldout.correct.0")


def _another_benchmark(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    candidates.evaluation("candidate", {"gsm8k": _result(25, task="gsm8k")})
    return "was not evaluated on heldout, only on gsm8k"


def _another_benchmark_under_the_name(candidates: Candidates) -> str:
    candidates.submit(sft=10, candidate=25)
    candidates.evaluation("candidate", {"heldout": _result(25, task="gsm8k")})
    return "was not evaluated on heldout"


def _replace_evaluation(candidates: Candidates, name: str, text: str, expected: str) -> str:
    folder = candidates.folder / f"foreign-{uuid.uuid4().hex}"
    folder.mkdir()
    (folder / name).write_text(text)
    upload_directory(folder, candidates.candidate_results)
    return expected


def _overwrite(uri: str, content: bytes | None, name: str = RESULTS_FILE) -> None:
    """Change one object behind the manifest's back, or delete it."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if content is None:
        connect().delete_object(Bucket=bucket, Key=f"{prefix}/{name}")
    else:
        connect().put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=content)


@pytest.mark.parametrize(
    "break_champion",
    [
        _no_tag,
        _no_address,
        _no_bucket,
        _no_evaluation,
        _damaged_evaluation,
        _damaged_manifest,
        _missing_object,
        _another_file,
        _older_schema,
        _impossible_scores,
        _another_benchmark,
        _another_benchmark_under_the_name,
    ],
)
def test_a_champion_that_cannot_be_compared_is_known_at_the_start_and_fails_no_run(
    candidates: Candidates, capsys: pytest.CaptureFixture[str], break_champion: Callable[[Candidates], str]
) -> None:
    expected = break_champion(candidates)
    champion = candidates.champion()
    assert champion is not None
    capsys.readouterr()
    start_run(candidates.config.model_dump_json(), f"test-{uuid.uuid4().hex}")
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    assert expected in warning
    assert "will stay challenger" in warning

    version = candidates.submit(sft=10, candidate=40)
    printed = capsys.readouterr().out
    verdict = candidates.verdict()
    assert (verdict.promote, verdict.comparable) == (False, False)
    assert verdict.champion is not None
    assert verdict.champion.version == champion
    assert expected in verdict.reasons[1]
    assert "/tmp" not in verdict.reasons[1]
    assert verdict.reasons[1] in printed
    assert "verdict: not comparable, the candidate stays challenger" in printed
    assert candidates.champion() == champion
    written = candidates.report(version)
    assert (written.registry.alias, written.verdict.promoted) == ("challenger", False)
    assert written.verdict.reasons == verdict.reasons


def test_a_run_that_starts_with_a_usable_champion_or_none_is_not_warned(
    candidates: Candidates, capsys: pytest.CaptureFixture[str]
) -> None:
    start_run(candidates.config.model_dump_json(), f"test-{uuid.uuid4().hex}")
    candidates.submit(sft=10, candidate=25)
    start_run(candidates.config.model_dump_json(), f"test-{uuid.uuid4().hex}")
    assert "warning" not in capsys.readouterr().out


def test_an_outage_is_no_verdict(
    candidates: Candidates, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates.submit(sft=10, candidate=25)
    (port,) = free_ports("127.0.0.1", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    with pytest.raises(SystemExit):
        start_run(candidates.config.model_dump_json(), f"test-{uuid.uuid4().hex}")
    captured = capsys.readouterr()
    assert "error: cannot reach S3" in captured.err
    assert "warning" not in captured.out


# --- a champion that changes while the candidate is judged ---------------------------------------------------------


def test_the_verdict_names_the_champion_that_it_was_reached_against(candidates: Candidates) -> None:
    first = candidates.submit(sft=10, candidate=20)
    assert candidates.verdict().champion is None
    candidates.submit(sft=10, candidate=25)
    champion = candidates.verdict().champion
    assert champion is not None
    assert (champion.model, champion.version) == (candidates.config.registered_model, first)


@pytest.mark.parametrize("with_champion", [True, False])
def test_another_champion_since_the_verdict_keeps_its_alias(
    candidates: Candidates, capsys: pytest.CaptureFixture[str], with_champion: bool
) -> None:
    name = candidates.config.registered_model
    first = candidates.submit(sft=10, candidate=20) if with_champion else None
    other = registry.register(name, f"{candidates.config.storage.uri}/other", "", {})
    candidates.meanwhile = lambda: registry.promote(name, other, instead_of=first)
    version = candidates.submit(sft=10, candidate=40)
    assert candidates.verdict().promote
    assert candidates.champion() == other
    standing = registry.standing(name, version)
    assert standing.alias == "challenger"
    against = f"version {first}" if first else "no version"
    why = (
        f"version {other} of {name} is champion by now, and the verdict was reached against {against}; run again, or "
        f"promote version {version} by hand"
    )
    assert standing.tags[NOT_PROMOTED_TAG] == why
    printed = capsys.readouterr().out
    assert f"not promoted: {why}" in printed
    assert f"{name} version {version} is now challenger" in printed
    written = candidates.report(version)
    assert (written.registry.alias, written.verdict.promoted) == ("challenger", False)
    assert why in written.verdict.reasons[-1]


def test_a_champion_that_was_taken_away_since_the_verdict_is_not_replaced(candidates: Candidates) -> None:
    name = candidates.config.registered_model
    candidates.submit(sft=10, candidate=20)
    candidates.meanwhile = lambda: MlflowClient().delete_registered_model_alias(name, "champion")
    candidates.submit(sft=10, candidate=40)
    assert candidates.champion() is None


def test_a_retried_registration_does_not_stumble_over_its_own_promotion(candidates: Candidates) -> None:
    first = candidates.submit(sft=10, candidate=20)
    version = candidates.submit(sft=10, candidate=40)
    before = registry.standing(candidates.config.registered_model, version)
    assert candidates.register_again() == version
    after = registry.standing(candidates.config.registered_model, version)
    assert after == before
    assert (after.alias, after.tags["previous_champion"]) == ("champion", first)
    assert NOT_PROMOTED_TAG not in after.tags
    assert candidates.report(version).registry.alias == "champion"


def test_the_report_says_what_the_registry_says_when_it_is_written(candidates: Candidates) -> None:
    version = candidates.submit(sft=10, candidate=20)
    assert candidates.report(version).verdict.promoted
    run = (candidates.base, candidates.model, candidates.shared, candidates.verdict_uri, candidates.candidate_results)
    candidates.submit(sft=10, candidate=40)  # takes both aliases
    candidates.base, candidates.model, candidates.shared, candidates.verdict_uri, candidates.candidate_results = run
    written = candidates.report(version)
    assert (written.registry.alias, written.verdict.promoted) == (None, False)
    assert "somebody has moved the alias champion on" in written.verdict.reasons[-1]


def test_a_model_that_is_registered_again_carries_the_tags_of_its_newest_evaluation(candidates: Candidates) -> None:
    name = candidates.config.registered_model
    version = candidates.submit(sft=10, candidate=20)
    registry.set_tag(name, version, NOT_PROMOTED_TAG, "an old story")
    registry.set_tag(name, version, "owner", "somebody")
    assert candidates.submit(sft=5, candidate=20, model=candidates.model) == version
    standing = registry.standing(name, version)
    assert standing.tags == {
        EVALUATION_TAG: candidates.candidate_results,
        "gift.run_id": candidates.run_id,
        "gift.mlflow_run": candidates.shared["parent_run_id"],
        "gift.config_digest": candidates.config.digest(),
        "gift.model_digest": standing.tags["gift.model_digest"],
        "gift.verdict": candidates.verdict_uri,
        "owner": "somebody",
    }
    assert standing.alias == "champion"  # judged against itself, and no worse

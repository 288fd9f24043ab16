"""The whole pipeline through the command line, with a tiny budget, against the real S3 and MLflow servers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from faulty_proxy import faulty_proxy
from mlflow import MlflowClient
from tiny_settings import TINY_MODEL

from gift import registry
from gift.report.headline import headline_figures
from gift.report.schema import load_report
from gift.storage import list_paths, read_manifest
from pipelines.local.services import Services

TINY = (
    "registered_model=gift-e2e",
    "experiment=gift-e2e",
    *TINY_MODEL,
    "data.sft=400",
    "data.train=100",
    "data.heldout=24",
    "sft.steps=4",
    "sft.optimizer.warmup_steps=1",
    "rl.steps=2",
    "rl.prompts_per_step=2",
    "rollout.group_size=4",
    "rollout.max_new_tokens=8",
    "evaluation.benchmarks.0.max_new_tokens=8",
    "evaluation.benchmarks.1.max_new_tokens=8",
)
STAGES = [
    "prepare-data",
    "prepare-model",
    "train-sft",
    "convert-sft",
    "train-policy",
    "convert-candidate",
    "evaluate-base",
    "evaluate-sft",
    "evaluate-candidate",
    "evaluate-champion",
    "gate",
    "register",
]
BEFORE_GIFT = ["prepare-data", "prepare-model", "train-sft", "convert-sft"]


def _command(runs: Path, *overrides: str) -> list[str]:
    sets = [argument for override in (*TINY, *overrides) for argument in ("--set", override)]
    return [sys.executable, "-m", "pipelines.cli", "run", "--profile", "local", "--runs", str(runs), *sets]


def _gift_run(runs: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(runs, *overrides), capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def runs(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def first(runs: Path) -> subprocess.CompletedProcess[str]:
    finished = _gift_run(runs)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished


def test_a_person_sees_every_stage_the_table_and_where_the_report_is(first: subprocess.CompletedProcess[str]) -> None:
    banners = [line.removeprefix("▶ ") for line in first.stdout.splitlines() if line.startswith("▶ ")]
    assert banners == ["start-run", *STAGES, "report", "finish-run"]
    for words in ("base", "SFT", "GIFT", "±", "report.html", "MLflow UI", "gift-e2e version"):
        assert words in first.stdout
    assert "KFP Executor" not in first.stdout
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in first.stdout + first.stderr


def test_the_report_has_what_is_promised(first: subprocess.CompletedProcess[str], runs: Path) -> None:
    folder = (runs / "latest").resolve()
    assert {"report.json", "report.html", "config.json", "run.log"} <= {path.name for path in folder.iterdir()}
    report = load_report(folder / "report.json")
    assert set(report.models) == {"base", "sft", "candidate"}
    for scores in report.models.values():
        assert set(scores) == {"heldout", "heldout_sampled"}
        assert all(score.n == 24 and 0 <= score.accuracy <= 1 for score in scores.values())
    assert set(STAGES) <= set(report.seconds)
    assert [step.stage for step in report.critical_path] == [*STAGES, "report"]
    assert len(report.curves["train-policy"]["reward"]) == 2
    assert len(report.curves["train-sft"]["loss"]) == 4
    assert report.samples
    assert {"git_sha", "torch", "deepspeed"} <= set(report.provenance)
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in (folder / "report.json").read_text()
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in (folder / "run.log").read_text()


def test_kfp_has_the_report_as_a_page(first: subprocess.CompletedProcess[str], runs: Path) -> None:
    folder = (runs / "latest").resolve()
    (page,) = (folder / "kfp").glob("**/report/page")
    assert page.read_bytes() == (folder / "report.html").read_bytes()
    sources = {path.read_text().strip() for path in (folder / "kfp").glob("**/converted")}
    assert load_report(folder / "report.json").registry.source in sources


def test_mlflow_has_the_run_its_stages_and_their_inputs(first: subprocess.CompletedProcess[str], runs: Path) -> None:
    client = MlflowClient()
    run_id = (runs / "latest").resolve().name
    experiment = client.get_experiment_by_name("gift-e2e")
    (parent,) = client.search_runs([experiment.experiment_id], f"tags.`gift.run_id` = '{run_id}'")
    assert parent.info.status == "FINISHED"
    assert parent.data.params["rl.steps"] == "2"
    nested = client.search_runs([experiment.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    stages = {run.info.run_name: run for run in nested}
    assert set(stages) == {*STAGES, "report"}
    assert {run.info.status for run in nested} == {"FINISHED"}
    assert [entry.step for entry in client.get_metric_history(stages["train-policy"].info.run_id, "reward")] == [0, 1]
    assert stages["train-policy"].data.params["rl.steps"] == "2"
    assert "system/system_memory_usage_megabytes" in stages["train-policy"].data.metrics
    inputs = {entry.dataset.name for entry in stages["prepare-data"].inputs.dataset_inputs}
    assert inputs == {"sft", "train", "heldout"}
    artifacts = {artifact.path for artifact in client.list_artifacts(stages["report"].info.run_id)}
    assert {"report.json", "report.html", "MODEL_CARD.md"} <= artifacts
    answers = {artifact.path for artifact in client.list_artifacts(stages["evaluate-candidate"].info.run_id)}
    assert {"results.json", "answers.parquet"} <= answers
    report = load_report(runs / "latest" / "report.json")
    for name, figure in headline_figures(report).items():
        assert parent.data.metrics[name] == pytest.approx(figure, rel=1e-6), name


def test_the_report_holds_against_the_answers_in_the_store(first: subprocess.CompletedProcess[str], runs: Path) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "report", "verify", str(runs / "latest" / "report.json")]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 differ, 0 can't be checked from here" in checked.stdout
    assert "candidate, heldout_sampled: 24 problems" in checked.stdout


def test_the_registered_version_is_the_checkpoint_in_s3(first: subprocess.CompletedProcess[str], runs: Path) -> None:
    report = load_report(runs / "latest" / "report.json")
    version = MlflowClient().get_model_version("gift-e2e", report.registry.version)
    made = report.artifacts["convert-candidate"].uri
    manifest = read_manifest(made)
    assert manifest is not None
    assert version.source == report.registry.source == manifest.folder(made)
    assert {"config.json", "model.safetensors", "tokenizer.json", "generation_config.json"} <= {
        file.path for file in manifest.files
    }
    champion = registry.champion("gift-e2e")
    assert (champion is not None) == report.verdict.promoted


def test_a_second_run_reuses_data_and_sft_and_trains_gift_again(
    first: subprocess.CompletedProcess[str], runs: Path
) -> None:
    before = load_report(runs / "latest" / "report.json")
    finished = _gift_run(runs)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    after = load_report(runs / "latest" / "report.json")
    assert after.run_id != before.run_id
    assert set(BEFORE_GIFT) <= set(after.reused)
    assert "train-policy" not in after.reused
    assert {name: after.artifacts[name].digest for name in BEFORE_GIFT} == {
        name: before.artifacts[name].digest for name in BEFORE_GIFT
    }


def test_a_failing_stage_is_named_with_its_words_and_nothing_is_left_running(
    first: subprocess.CompletedProcess[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes before the stage is there from the first run."""
    (tmp_path / "own_reward.py").write_text("def broken(completion, problem):\n    return float('nan')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    finished = _gift_run(tmp_path / "runs", "rewards=[{kind: function, function: 'own_reward:broken'}]")
    assert finished.returncode == 1
    assert "stage train-policy failed" in finished.stderr
    assert "own_reward:broken" in finished.stderr
    assert " nan " in finished.stderr
    assert "Traceback" not in finished.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert "evaluate" not in finished.stdout
    assert str(folder / "run.log") in finished.stderr
    client = MlflowClient()
    experiment = client.get_experiment_by_name("gift-e2e")
    (parent,) = client.search_runs([experiment.experiment_id], f"tags.`gift.run_id` = '{folder.name}'")
    assert parent.info.status == "FAILED"
    assert parent.data.tags["gift.failed_stage"] == "train-policy"
    assert _processes_of(folder) == []


def test_a_run_whose_store_went_away_goes_on_under_its_id(
    first: subprocess.CompletedProcess[str], services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes before the training is there from the first run, and the training itself is done once."""
    runs = tmp_path / "runs"
    with faulty_proxy(services.s3_port) as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{store.port}")
        store.fault_of = lambda method, path: "away" if method != "GET" and "/checkpoints/" in path else None
        failed = _gift_run(runs, "cluster.service_wait_minutes=0.05")
        assert failed.returncode == 1
        assert "stage train-policy failed" in failed.stderr
        assert f"cannot reach S3 at 127.0.0.1:{store.port}" in failed.stderr
        assert f"waits in {runs}/.outbox/" in failed.stderr
        (run_id,) = {path.parent.name for path in runs.glob("*/config.json")}
        experiment = MlflowClient().get_experiment_by_name("gift-e2e")
        (parent,) = MlflowClient().search_runs([experiment.experiment_id], f"tags.`gift.run_id` = '{run_id}'")
        assert parent.info.status == "FAILED"
        assert "gift 2/2" in (runs / run_id / "run.log").read_text()

        store.fault_of = lambda _method, _path: None
        command = [*_command(runs, "cluster.service_wait_minutes=0.05"), "--run-id", run_id]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    log = (runs / run_id / "run.log").read_text()
    assert "made by an earlier start" in log
    assert "gift 2/2" not in log
    assert load_report(runs / "latest" / "report.json").run_id == run_id
    assert {path.name for path in runs.iterdir()} == {run_id, "latest"}
    assert MlflowClient().get_run(parent.info.run_id).info.status == "FINISHED"


def test_sigterm_ends_the_run_and_all_its_ranks_after_a_checkpoint(services: Services, tmp_path: Path) -> None:
    with subprocess.Popen(
        _command(tmp_path / "runs", "sft.steps=100000"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if "sft 1/" in line:
                break
        assert len(psutil.Process(process.pid).children(recursive=True)) >= 3
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert "interrupted" in process.stderr.read()
    assert process.returncode == 130
    (folder,) = (tmp_path / "runs").glob("2*")
    assert any("/step-" in path for path in list_paths(f"s3://gift/runs/{folder.name}/resume")), "before its time"
    deadline = time.monotonic() + 15
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _processes_of(folder: Path) -> list[str]:
    """Command lines of processes that still work for the run."""
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline"])
        if process.info["cmdline"] and any(str(folder) in argument for argument in process.info["cmdline"])
    ]

"""The stage evaluate on the real servers: where it computes, and that its output counts the setting."""

import uuid
from pathlib import Path

import pytest
import torch
from tiny_settings import TINY_MODEL

from gift.config import load_profile
from gift.data.prepare import write_data
from gift.data.problems import read_problems, write_rows
from gift.evaluation.answers import ANSWERS_FILE, read_answers
from gift.evaluation.results import RESULTS_FILE, load_results
from gift.execution.stage import run_stage
from gift.models.base_model import write_base_model
from gift.stages.evaluate import evaluate
from gift.storage import download_directory, upload_directory
from gift.tracking import start_parent_run

TINY = (
    *TINY_MODEL,
    "data.sft=64",
    "data.train=8",
    "data.heldout=4",
    "evaluation.benchmarks=[{task: heldout, max_new_tokens: 4}]",
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ and model/."""
    folder = tmp_path_factory.mktemp("inputs")
    config = load_profile("local", TINY)
    write_data(config, folder / "data")
    (folder / "model").mkdir()
    write_base_model(config, read_problems(folder / "data" / "sft.jsonl"), folder / "model")
    return folder


@pytest.fixture
def uris(folders: Path, bucket_prefix: str) -> dict[str, str]:
    for name in ("data", "model"):
        upload_directory(folders / name, f"{bucket_prefix}/{name}")
    return {name: f"{bucket_prefix}/{name}" for name in ("data", "model")}


def _evaluate(bucket_prefix: str, uris: dict[str, str], device: str, *settings: str) -> str:
    config = load_profile("local", (*TINY, f"storage.uri={bucket_prefix}", f"compute.device={device}", *settings))
    run_id = f"test-{uuid.uuid4().hex}"
    parent = start_parent_run(config, run_id)
    return run_stage(evaluate, config=config.model_dump_json(), run_id=run_id, parent_run_id=parent, **uris)


def test_cpu_is_obeyed_where_there_is_a_gpu_and_is_part_of_the_outputs_digest(
    bucket_prefix: str, uris: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_auto = _evaluate(bucket_prefix, uris, "auto")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # whoever asks would move the model, and fail
    on_cpu = _evaluate(bucket_prefix, uris, "cpu")
    assert on_cpu != on_auto
    assert _evaluate(bucket_prefix, uris, "cpu") == on_cpu


def test_what_a_model_knows_by_heart_is_asked_of_the_base_model_alone(
    bucket_prefix: str, uris: dict[str, str], tmp_path: Path
) -> None:
    both = "evaluation.benchmarks=[{task: heldout, max_new_tokens: 4}, {task: heldout_partial, max_new_tokens: 4}]"
    config = load_profile("local", (*TINY[:-1], both, f"storage.uri={bucket_prefix}"))
    run = {"config": config.model_dump_json(), "run_id": "r", "parent_run_id": start_parent_run(config, bucket_prefix)}
    for label, tasks in {"base": {"heldout", "heldout_partial"}, "sft": {"heldout"}}.items():
        download_directory(run_stage(evaluate, **run, label=label, **uris), tmp_path / label)
        assert set(load_results(tmp_path / label / RESULTS_FILE)) == tasks


def test_a_gpu_that_is_not_there_is_one_line_before_anything_is_evaluated(
    bucket_prefix: str, uris: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        _evaluate(bucket_prefix, uris, "cuda")
    error = capsys.readouterr().err
    assert error.startswith("error: compute.device is cuda, but torch finds no GPU on this machine")
    assert error.count("\n") == 1


def test_a_task_that_the_profile_names_is_evaluated_and_may_decide_at_the_gate(
    bucket_prefix: str, uris: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"goal": f"{number} + 1?", "sol1": f"{number}", "sol2": f"{number + 1}", "label": 1} for number in range(4)]
    for split in ("train", "validation"):
        write_rows(tmp_path / "local" / "piqa" / f"{split}.jsonl", rows)
    monkeypatch.setenv("GIFT_DATA_DIR", str(tmp_path / "local"))
    named = f"{{lm_eval: piqa, metric: acc_norm, data: {{repository: baber/piqa, revision: {'c' * 40}}}}}"
    settings = (f"evaluation.benchmarks=[{named}]", "gate.benchmarks=[{benchmark: piqa, at_least: 0.0}]")
    write_data(load_profile("local", (*TINY, *settings)), tmp_path / "data")
    upload_directory(tmp_path / "data", f"{bucket_prefix}/with-piqa")
    monkeypatch.delenv("GIFT_DATA_DIR")
    uri = _evaluate(bucket_prefix, uris | {"data": f"{bucket_prefix}/with-piqa"}, "cpu", *settings)
    download_directory(uri, tmp_path / "out")
    result = load_results(tmp_path / "out" / RESULTS_FILE)["piqa"]
    answers = read_answers(tmp_path / "out" / ANSWERS_FILE)
    assert result.n == 4
    assert [answer.score for answer in answers] == list(result.correct)
    assert [answer.reference for answer in answers] == [row["sol2"] for row in rows]

"""The reigning champion is evaluated by the real lm-eval as its run evaluates its own models, and only if need be."""

import shutil
import uuid
from pathlib import Path

import pytest
import torch
from promotions import promote
from safetensors.torch import load_file, save_file
from stored_objects import object_uri, read_object, write_object

from gift import registry
from gift.config import RunConfig, load_profile
from gift.data.problems import Problem, write_problems
from gift.evaluation.results import RESULTS_FILE, load_results
from gift.execution.stage import downloaded, run_stage
from gift.gate.verdict import Verdict
from gift.stages.evaluate import evaluate
from gift.stages.evaluate_champion import CHAMPION_FILE, ReigningChampion, evaluate_champion
from gift.stages.gate import gate
from gift.storage import upload_directory
from gift.tracking import start_parent_run
from tests.gift.evaluation.rote_model import KEYS, write_rote_model

WEIGHTS = "model.safetensors"
BENCHMARK = "evaluation.benchmarks=[{task: heldout, max_new_tokens: 24}]"


@pytest.fixture(scope="module")
def knows_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rote")
    write_rote_model(folder)
    return folder


@pytest.fixture
def knows_nothing(knows_all: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "knows-nothing"
    shutil.copytree(knows_all, folder)
    silent = {name: torch.zeros_like(weights) for name, weights in load_file(folder / WEIGHTS).items()}
    save_file(silent, folder / WEIGHTS, metadata={"format": "pt"})
    return folder


@pytest.fixture
def config(bucket_prefix: str) -> RunConfig:
    name = f"test-{uuid.uuid4().hex[:8]}"
    return load_profile("local", (f"storage.uri={bucket_prefix}", f"registered_model={name}", BENCHMARK))


def _run(config: RunConfig) -> dict[str, str]:
    """The arguments that all stages of a new run share."""
    run_id = f"test-{uuid.uuid4().hex}"
    return {"config": config.model_dump_json(), "run_id": run_id, "parent_run_id": start_parent_run(config, run_id)}


def _store(config: RunConfig, name: str, folder: Path) -> str:
    uri = f"{config.storage.uri}/{name}"
    upload_directory(folder, uri)
    return uri


def _problems(config: RunConfig, name: str, problems: list[Problem], scratch: Path) -> str:
    write_problems(scratch / name / "heldout.jsonl", problems)
    return _store(config, f"data/{name}", scratch / name)


def _enthrone(config: RunConfig, model: str) -> str:
    """Register a stored model and make it champion. Its tags say nothing of an evaluation. Returns: the version."""
    name, source = config.registered_model, object_uri(model, WEIGHTS).removesuffix(f"/{WEIGHTS}")
    version = registry.register_version(name, source, "", {}, "s3://gift/locks/test-champion")
    promote(name, version, instead_of=None)
    return version


def _reigning(uri: str) -> ReigningChampion:
    return ReigningChampion.model_validate_json(read_object(object_uri(uri, CHAMPION_FILE)))


def test_a_champion_is_evaluated_on_this_runs_problems_and_with_its_prompts_and_then_reused(
    config: RunConfig, knows_all: Path, knows_nothing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = _enthrone(config, _store(config, "models/champion", knows_nothing))
    data = _problems(config, "first", KEYS, tmp_path)
    run = _run(config)
    champion = run_stage(evaluate_champion, **run, data=data)
    found = _reigning(champion)
    assert found.opponent is not None
    assert (found.opponent.version, found.lost) == (version, None)
    assert found.evaluation is not None

    candidate = run_stage(evaluate, **run, label="candidate", data=data, model=_store(config, "models/new", knows_all))
    results = {"base_results": found.evaluation, "sft_results": found.evaluation, "candidate_results": candidate}
    verdict_uri = run_stage(gate, **run, **results, champion=champion)
    verdict = Verdict.model_validate_json(read_object(object_uri(verdict_uri, "verdict.json")))
    assert (verdict.decision, verdict.champion) == ("promote", found.opponent)
    assert "the champion 0.0% (+100.0 ± 0.0 points)" in verdict.reasons[0]

    capsys.readouterr()
    assert _reigning(run_stage(evaluate_champion, **_run(config), data=data)) == found
    assert f"unchanged, reused from {found.evaluation}" in capsys.readouterr().out

    fewer = _reigning(run_stage(evaluate_champion, **_run(config), data=_problems(config, "other", KEYS[:5], tmp_path)))
    asked_otherwise = config.model_copy(update={"prompt": "{question} "})
    otherwise = _reigning(run_stage(evaluate_champion, **_run(asked_otherwise), data=data))
    ids = [_ids(one.evaluation) for one in (found, fewer, otherwise)]
    assert [len(one) for one in ids] == [8, 5, 8]
    assert set(ids[1]) < set(ids[0])
    assert set(ids[2]).isdisjoint(ids[0])


def _ids(evaluation: str | None) -> tuple[str, ...]:
    assert evaluation is not None
    with downloaded(evaluation) as folder:
        return load_results(folder / RESULTS_FILE)["heldout"].ids


def test_a_damaged_champion_is_found_out_when_it_is_evaluated(
    config: RunConfig, knows_nothing: Path, tmp_path: Path
) -> None:
    model = _store(config, "models/champion", knows_nothing)
    version = _enthrone(config, model)
    place = object_uri(model, "config.json")
    write_object(place, read_object(place)[::-1])  # as long as before
    found = _reigning(run_stage(evaluate_champion, **_run(config), data=_problems(config, "data", KEYS, tmp_path)))
    assert found.opponent is not None
    assert (found.opponent.version, found.evaluation) == (version, None)
    assert "is damaged (its sha256 is not the manifest's)" in (found.lost or "")


def test_without_a_champion_there_is_nothing_to_evaluate(config: RunConfig, tmp_path: Path) -> None:
    data = _problems(config, "data", KEYS, tmp_path)
    assert _reigning(run_stage(evaluate_champion, **_run(config), data=data)) == ReigningChampion()
